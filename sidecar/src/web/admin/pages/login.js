// Login with a password, or once with a one-time link.

import { useEffect, useState } from "preact/hooks";

import { call, closed, enter } from "./api.js";
import { complaint, html } from "./ui.js";

/** Secret of a one-time link. The secret is after #, so that no server logs it; the page removes it from the address immediately. */
const token = /^#setup=([a-z2-7]+)$/.exec(location.hash)?.[1] ?? "";
if (token) history.replaceState(null, "", location.pathname);
// In a tab with an open dashboard, a setup link changes only the part after #, and the browser does not load the page again.
addEventListener("hashchange", () => location.hash.startsWith("#setup=") && location.reload());

export function Login() {
  if (token && closed.value !== "used") return html`<${Setup} />`;
  if (closed.value === "no_administrator") {
    return html`<main class="door"><h1>No administrator yet</h1>
      <p>Create one on the server:</p><pre>weir admin add NAME</pre>
      <p>Or print a one-time link for a browser:</p><pre>weir admin setup-link</pre></main>`;
  }
  if (closed.value === "no_account") {
    return html`<main class="door"><h1>No account</h1><p>Your single sign-on has logged you in, but Weir has no account of that name. An administrator creates one:</p>
      <pre>weir admin add NAME</pre></main>`;
  }
  return html`<${Form} setup=${false} />`;
}

/** Shows the form of a one-time link only if the link works. */
function Setup() {
  const [state, set] = useState("checking");
  useEffect(() => {
    call("POST", "setup/check", { token }).then(() => set(""), (why) => set(complaint(why)));
  }, []);
  if (state === "checking") return html`<main class="door"><p>Loading...</p></main>`;
  if (!state) return html`<${Form} setup=${true} />`;
  return html`<main class="door"><h1>Create the administrator</h1><p class="bad" role="alert">${state}</p>
    <p><a href=${location.pathname}>Log in</a></p></main>`;
}

function Form({ setup }) {
  const [error, set] = useState("");
  const [busy, work] = useState(false);
  const [second, ask] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const [name, password, code] = [form.get("name"), form.get("password"), form.get("code")];
    if (setup && password !== form.get("again")) return set("The passwords differ.");
    work(true);
    set("");
    try {
      const account = await call("POST", setup ? "setup" : "login", setup ? { token, name, password } : { name, password, ...(second && { code }) });
      // Without the cookie, the browser is not logged in, even if the login succeeded.
      await call("GET", "session").catch(() => {
        throw new Error("The browser did not keep the cookie: open this page over https://, or on the server itself as http://127.0.0.1.");
      });
      if (setup) closed.value = "used";
      enter(account);
    } catch (why) {
      if (why.code === "code_required") {
        ask(true);
        work(false);
        return;
      }
      set(complaint(why, { name: "Name", password: "Password" }));
      work(false);
    }
  };
  return html`<main class="door">
    <h1>${setup ? "Create the administrator" : "Log in"}</h1>
    <form onSubmit=${submit}>
      <label>Name <input name="name" required autocomplete="username" autocapitalize="none" spellcheck="false" /></label>
      <label>Password <input name="password" type="password" required minlength=${setup ? 8 : undefined}
        autocomplete=${setup ? "new-password" : "current-password"} /></label>
      ${setup && html`<label>Password again <input name="again" type="password" required autocomplete="new-password" /></label>`}
      ${second && html`<label>Code of your authenticator app <input name="code" required inputmode="numeric" autocomplete="one-time-code"
        ref=${(input) => input?.focus()} /></label>`}
      <p class="bad" role="alert">${error}</p>
      <button class="primary" disabled=${busy}>${setup ? "Create" : "Log in"}</button>
    </form>
  </main>`;
}
