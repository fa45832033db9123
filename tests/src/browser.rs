//! What a browser does and no more: keeps cookies, sends forms as they stand in the page, says where they were. And what an
//! attacker does instead: any of it otherwise.

use std::{collections::BTreeMap, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers, in order.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Reply {
    /// The first header of a name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Where it leads.
    #[must_use]
    pub fn to(&self) -> &str {
        self.header("location").unwrap_or_default()
    }

    /// The `Set-Cookie` of a name.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let set = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case("set-cookie"));
        set.map(|(_, value)| value.as_str()).find(|value| value.starts_with(&format!("{name}=")))
    }

    /// The value of the first field of this name in a form of the page.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let at = self.body.find(&format!("name=\"{name}\""))?;
        let end = at + self.body[at..].find('>')?;
        let start = self.body[..at].rfind('<')?;
        let tag = &self.body[start..end];
        let value = tag.split_once(" value=\"")?.1.split('"').next()?;
        Some(unescaped(value))
    }

    /// An attribute of the page that stands there once.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<String> {
        Some(unescaped(self.body.split_once(&format!("{name}=\""))?.1.split('"').next()?))
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// A browser.
#[derive(Clone, Debug)]
pub struct Browser {
    at: SocketAddr,
    /// Where it says that its forms come from.
    pub origin: String,
    /// What it says that it wants to speak to.
    pub host: String,
    /// Its cookies.
    pub jar: BTreeMap<String, String>,
}

impl Browser {
    /// One that has been nowhere, and connects there.
    ///
    /// # Panics
    /// If the origin is none.
    #[must_use]
    pub fn new(at: SocketAddr, origin: &str) -> Self {
        let host = origin.split_once("://").expect("an origin").1.to_owned();
        Self { at, origin: origin.to_owned(), host, jar: BTreeMap::new() }
    }

    /// Loads a page.
    pub async fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    /// Sends a form that stands on a page: with its token, as a browser would.
    ///
    /// # Panics
    /// If there is none on the page.
    pub async fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Reply {
        let token = self.get(page).await.field("csrf").expect("a form on the page");
        self.post_from(page, action, &token, fields).await
    }

    /// Sends a form with this token.
    pub async fn post(&mut self, action: &str, token: &str, fields: &[(&str, &str)]) -> Reply {
        self.post_from(action, action, token, fields).await
    }

    async fn post_from(&mut self, page: &str, action: &str, token: &str, fields: &[(&str, &str)]) -> Reply {
        let all: Vec<_> = [("csrf", token)].into_iter().chain(fields.iter().copied()).collect();
        let (origin, referrer) = (self.origin.clone(), format!("{}{page}", self.origin));
        let headers = [("Origin", origin.as_str()), ("Sec-Fetch-Site", "same-origin"), ("Referer", referrer.as_str())];
        self.send("POST", action, &headers, &encoded(&all)).await
    }

    /// Sends anything, with the cookies, and keeps those that come back.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let mut all: Vec<(&str, String)> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let has = |all: &[(&str, String)], name: &str| all.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        if !has(&all, "host") {
            all.push(("Host", self.host.clone()));
        }
        if method == "POST" && !has(&all, "content-type") {
            all.push(("Content-Type", "application/x-www-form-urlencoded".to_owned()));
        }
        if !self.jar.is_empty() && !has(&all, "cookie") {
            let pairs: Vec<String> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            all.push(("Cookie", pairs.join("; ")));
        }
        for (name, value) in all {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let mut stream = TcpStream::connect(self.at).await.expect("somebody listens");
        // A server that refuses early closes while a long body is still on its way.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        let reply = parsed(&bytes);
        self.keep(&reply);
        reply
    }

    /// Logs in by the page's form.
    pub async fn log_in(&mut self, name: &str, password: &str) -> Reply {
        self.submit("/login", "/login", &[("name", name), ("password", password)]).await
    }

    fn keep(&mut self, reply: &Reply) {
        for (name, value) in &reply.headers {
            if !name.eq_ignore_ascii_case("set-cookie") {
                continue;
            }
            let (pair, attributes) = value.split_once(';').unwrap_or((value, ""));
            let (name, value) = pair.split_once('=').expect("a cookie has a value");
            if attributes.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// Reads an answer that ends with its connection.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn parsed(bytes: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let chunked =
        headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("transfer-encoding") && value == "chunked");
    assert!(!chunked, "pages come in one piece");
    Reply { status: status.expect("a status"), headers, body: body.to_owned() }
}

/// Fields as a form sends them.
#[must_use]
pub fn encoded(fields: &[(&str, &str)]) -> String {
    let escaped = |text: &str| {
        let one = |byte: u8| {
            if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        text.bytes().map(one).collect::<String>()
    };
    fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect::<Vec<_>>().join("&")
}
