// One tab of the browser: what a person does in it, and what is seen there.

const PATIENCE = 60_000;

export class Tab {
  static async open(browser, origin, { width, height, scheme, javascript }) {
    const context = await browser.newContext({
      baseURL: origin,
      viewport: { width, height },
      colorScheme: scheme,
      javaScriptEnabled: javascript,
      hasTouch: width < 600,
      locale: 'en-GB',
      timezoneId: 'UTC',
    });
    context.setDefaultTimeout(PATIENCE);
    return new Tab(await context.newPage(), origin);
  }

  constructor(page, origin) {
    this.page = page;
    this.complaints = [];
    // A page may be answered with an error on purpose; what it asks for itself may not.
    const navigated = new Set();
    page.on('request', (request) => {
      if (request.isNavigationRequest()) navigated.add(request.url());
      if (new URL(request.url()).origin !== origin) this.complaints.push(`asks elsewhere: ${request.url()}`);
    });
    page.on('requestfailed', (request) => {
      const why = request.failure()?.errorText;
      // What was under way when somebody went to another page, the stream of live updates above all, is given up.
      if (why !== 'net::ERR_ABORTED') this.complaints.push(`failed: ${request.url()}: ${why}`);
    });
    page.on('response', (response) => {
      const { status, url } = { status: response.status(), url: response.url() };
      if (status >= 400 && !navigated.has(url)) this.complaints.push(`${status}: ${url}`);
    });
    page.on('console', (message) => {
      if (!['error', 'warning'].includes(message.type())) return;
      if (message.text().startsWith('Failed to load resource') && navigated.has(message.location().url)) return;
      this.complaints.push(`${message.type()}: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.complaints.push(`script: ${error.stack}`));
    page.on('dialog', (dialog) => {
      this.complaints.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
  }

  async goto({ path }) {
    return (await this.page.goto(path)).status();
  }

  async reload() {
    await this.page.reload();
  }

  // Lets a page that is open take another size and other colours, without loading it again.
  async resize({ width, height, scheme }) {
    await this.page.setViewportSize({ width, height });
    await this.page.emulateMedia({ colorScheme: scheme });
  }

  // The field whose label is this, or else the only one whose label has it.
  async #field(label) {
    const exact = this.page.getByLabel(label, { exact: true });
    return (await exact.count()) > 0 ? exact : this.page.getByLabel(label);
  }

  async fill({ label, text }) {
    await (await this.#field(label)).fill(text);
  }

  async choose({ label, option }) {
    await (await this.#field(label)).selectOption({ label: option });
  }

  async click({ role, name }) {
    await this.page.getByRole(role, { name, exact: true }).click();
  }

  async press({ key }) {
    await this.page.keyboard.press(key);
  }

  async type({ text }) {
    await this.page.keyboard.type(text);
  }

  address() {
    const { pathname, search, hash } = new URL(this.page.url());
    return pathname + search + hash;
  }

  async text() {
    return this.page.locator('body').innerText();
  }

  async title() {
    return this.page.title();
  }

  // Waits until a text stands on the page.
  async says({ text }) {
    await this.#until(async () => (await this.text()).includes(text), `never says ${JSON.stringify(text)}`);
  }

  // Waits until the address begins like this.
  async arrives({ path }) {
    await this.#until(() => this.address().startsWith(path), `never is at ${path}`);
    await this.page.waitForLoadState();
  }

  // How many links or buttons of this name there are.
  async count({ role, name }) {
    return this.page.getByRole(role, { name, exact: true }).count();
  }

  // An attribute of the first element that fits.
  async attribute({ selector, name }) {
    return this.page.locator(selector).first().getAttribute(name);
  }

  // Leaves a mark on the page that a reload would take away, and tells whether it is there.
  async mark() {
    await this.page.evaluate(() => { document.documentElement.dataset.mark = 'yes'; });
  }

  async marked() {
    return this.page.evaluate(() => document.documentElement.dataset.mark === 'yes');
  }

  // What has the focus: its words, where it leads, and whether that can be seen.
  async focused() {
    return this.page.evaluate(() => {
      const e = document.activeElement;
      const [style, box] = [getComputedStyle(e), e.getBoundingClientRect()];
      const isOnScreen = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
      const isOutlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
      const words = (e.labels?.[0]?.textContent ?? e.textContent).trim().slice(0, 80);
      return { tag: e.tagName.toLowerCase(), id: e.id, words, visible: isOnScreen && isOutlined };
    });
  }

  async shot({ path }) {
    await this.page.screenshot({ path, fullPage: true, animations: 'disabled', caret: 'hide' });
  }

  // What the screen shows of the head of the page, and no more.
  async view({ path }) {
    await this.page.evaluate(() => window.scrollTo(0, 0));
    await this.page.screenshot({ path, animations: 'disabled', caret: 'hide' });
  }

  // An authenticator like a phone's, which always finds the right finger.
  async authenticator() {
    const devtools = await this.devtools();
    await devtools.send('WebAuthn.enable');
    const options = { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true };
    await devtools.send('WebAuthn.addVirtualAuthenticator', { options });
  }

  // One session for all: the end of any takes the authenticator away.
  async devtools() {
    this.session ??= await this.page.context().newCDPSession(this.page);
    return this.session;
  }

  // What the pages of this tab should not have done, since it was last asked.
  complained() {
    return this.complaints.splice(0);
  }

  async where() {
    const text = await this.text().catch(() => '');
    return `at ${this.page.url()}: ${text.slice(0, 3000)}\ncomplaints: ${this.complaints.join('\n')}`;
  }

  async #until(holds, otherwise) {
    const end = Date.now() + PATIENCE;
    // While a page is being replaced it can't be asked.
    while (!(await Promise.resolve(holds()).catch(() => false))) {
      if (Date.now() > end) throw new Error(otherwise);
      await this.page.waitForTimeout(50);
    }
  }
}
