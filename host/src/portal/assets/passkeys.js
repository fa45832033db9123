// Passkeys: the one thing that a browser does only for a script. A form that carries `data-passkey` is sent when the
// authenticator has answered; without a script, or without passkeys, the page says what to do instead.
"use strict";

(() => {
  const bytes = (text) => {
    const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, (c) => c.charCodeAt(0));
  };
  const text = (buffer) => {
    let plain = "";
    for (const byte of new Uint8Array(buffer)) plain += String.fromCharCode(byte);
    return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  };

  // The library's JSON has base64url where the browser wants bytes.
  const create = async (options) => {
    const key = options.publicKey;
    key.challenge = bytes(key.challenge);
    key.user.id = bytes(key.user.id);
    for (const known of key.excludeCredentials || []) known.id = bytes(known.id);
    const made = await navigator.credentials.create({ publicKey: key });
    return {
      id: made.id,
      rawId: text(made.rawId),
      type: made.type,
      response: {
        attestationObject: text(made.response.attestationObject),
        clientDataJSON: text(made.response.clientDataJSON),
      },
      extensions: {},
    };
  };
  const get = async (options) => {
    const key = options.publicKey;
    key.challenge = bytes(key.challenge);
    for (const known of key.allowCredentials || []) known.id = bytes(known.id);
    const got = await navigator.credentials.get({ publicKey: key });
    return {
      id: got.id,
      rawId: text(got.rawId),
      type: got.type,
      response: {
        authenticatorData: text(got.response.authenticatorData),
        clientDataJSON: text(got.response.clientDataJSON),
        signature: text(got.response.signature),
        userHandle: got.response.userHandle ? text(got.response.userHandle) : null,
      },
      extensions: {},
    };
  };

  const box = document.querySelector("[data-passkey]");
  if (!box) return;
  const form = box.querySelector("form");
  const state = box.querySelector("[role=status]");
  const button = form.querySelector("button");
  if (!window.PublicKeyCredential || !navigator.credentials) {
    state.textContent = "This browser has no passkeys here. Use another way to log in.";
    return;
  }
  form.hidden = false;
  let busy = false;
  const ask = async () => {
    if (busy) return;
    busy = true;
    button.disabled = true;
    state.textContent = "Waiting for your device.";
    try {
      const options = JSON.parse(box.dataset.options);
      const answer = box.dataset.passkey === "create" ? await create(options) : await get(options);
      form.elements.credential.value = JSON.stringify(answer);
      state.textContent = "Checking.";
      form.submit();
    } catch (error) {
      state.textContent =
        error && error.name === "InvalidStateError"
          ? "This device has a passkey for you already."
          : "Your device gave no passkey. Try again, or use another way.";
      button.disabled = false;
      busy = false;
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
})();
