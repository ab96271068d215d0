//! Chromium without a window, driven over WebDriver.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::blocking::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ports::Port;
use super::process::Process;
use super::{products, wait};

/// Options for a browser without messages and without network access except to the test, which can run as root. Its
/// rule for autoplay is the usual one.
const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with an empty profile and one window; closed when dropped.
pub struct Browser {
    driver: Child,
    client: Client,
    session: String,
    profile: TempDir,
    _port: Port,
}

impl Browser {
    /// Starts one.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a browser with a permitted camera and microphone: a clock on a green background, and beeps.
    #[track_caller]
    pub fn with_camera() -> Self {
        Self::start_with(&["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"])
    }

    #[track_caller]
    fn start_with(more: &[&str]) -> Self {
        let port = Port::reserve();
        let profile = tempfile::Builder::new().prefix("weir-browser-").tempdir().unwrap();
        let driver = Command::new(products::tool("/usr/bin/chromedriver"))
            .arg(format!("--port={}", port.number()))
            .arg("--log-level=SEVERE")
            .env("HOME", profile.path())
            .env("XDG_CONFIG_HOME", profile.path())
            .env("XDG_CACHE_HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let client = Client::builder().timeout(Duration::from_secs(60)).no_proxy().build().unwrap();
        let base = format!("http://127.0.0.1:{}", port.number());
        let mut browser = Self { driver, client, session: base.clone(), profile, _port: port };
        wait::until("chromedriver listens", 20.0, || {
            browser.client.get(format!("{base}/status")).send().is_ok()
        });
        let id =
            browser.post("/session", &browser.capabilities(more))["sessionId"].as_str().unwrap().to_owned();
        browser.session = format!("{base}/session/{id}");
        browser
    }

    fn capabilities(&self, more: &[&str]) -> Value {
        let mut flags: Vec<_> = FLAGS.iter().chain(more).map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--user-data-dir={}", self.profile.path().join("profile").display()));
        flags.push("--window-size=1280,900".to_owned());
        let options = json!({ "binary": products::tool("/usr/bin/chromium"), "args": flags });
        json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        } } })
    }

    /// Opens an address and waits until it is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Returns the result of a JavaScript function with this body.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Clicks on the first element that matches a CSS selector.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let id = self.find(selector);
        self.post(&format!("/element/{id}/click"), &json!({}));
    }

    /// Replaces the text of a field by typing.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        let id = self.find(selector);
        // WebDriver's own command sends no `input`, so a page that is drawn at this moment would show the old text again.
        let selector = json!(selector);
        self.run(&format!(
            "const field = document.querySelector({selector});
             field.value = '';
             for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {{ bubbles: true }}));"
        ));
        self.post(&format!("/element/{id}/value"), &json!({ "text": text }));
    }

    /// Sets the size of the window, in pixels.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        self.post(
            "/goog/cdp/execute",
            &json!({ "cmd": "Emulation.setDeviceMetricsOverride",
                "params": { "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false } }),
        );
    }

    /// Sets whether pages see a light or a dark colour scheme.
    #[track_caller]
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let params = json!({ "features": features });
        self.post("/goog/cdp/execute", &json!({ "cmd": "Emulation.setEmulatedMedia", "params": params }));
    }

    /// Shows pages as on paper, or as on the screen again.
    #[track_caller]
    pub fn print_media(&self, is_paper: bool) {
        let params = json!({ "media": if is_paper { "print" } else { "" } });
        self.post("/goog/cdp/execute", &json!({ "cmd": "Emulation.setEmulatedMedia", "params": params }));
    }

    /// Makes the processor of pages slower by a factor, as on a cheap phone.
    #[track_caller]
    pub fn slow_down(&self, factor: u32) {
        let params = json!({ "rate": factor });
        self.post("/goog/cdp/execute", &json!({ "cmd": "Emulation.setCPUThrottlingRate", "params": params }));
    }

    /// Runs a script at the start of each page from now on, before the page's own scripts.
    #[track_caller]
    pub fn begin_with(&self, script: &str) {
        let params = json!({ "source": script });
        let order = json!({ "cmd": "Page.addScriptToEvaluateOnNewDocument", "params": params });
        self.post("/goog/cdp/execute", &order);
    }

    /// Presses a key in the focused element: a character, or one of the keys of WebDriver, such as `\u{e004}` for Tab.
    #[track_caller]
    pub fn press(&self, key: &str) {
        let actions = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.post("/actions", &json!({ "actions": [keyboard] }));
    }

    /// Presses Tab until an element that matches a selector has the focus. Everybody must see where the focus is.
    #[track_caller]
    pub fn tab_to(&self, selector: &str) {
        let is_there = format!("return document.activeElement.matches({})", json!(selector));
        for _ in 0..80 {
            if self.run(&is_there) == true {
                let shown = self.run("return getComputedStyle(document.activeElement).outlineStyle");
                assert_ne!(shown, "none", "nobody sees where the focus is: {selector}");
                return;
            }
            self.press("\u{e004}");
        }
        panic!("Tab does not lead to {selector}");
    }

    /// Collects garbage; returns the bytes that the page's scripts keep, and the number of its nodes.
    #[track_caller]
    pub fn memory(&self) -> (f64, f64) {
        let order = |cmd: &str| self.post("/goog/cdp/execute", &json!({ "cmd": cmd, "params": {} }));
        order("Performance.enable");
        // What a finalizer or a weak reference held is free after the second collection.
        order("HeapProfiler.collectGarbage");
        order("HeapProfiler.collectGarbage");
        let metrics = order("Performance.getMetrics");
        let metric = |name: &str| {
            let all = metrics["metrics"].as_array().unwrap();
            all.iter().find(|one| one["name"] == name).unwrap()["value"].as_f64().unwrap()
        };
        (metric("JSHeapUsedSize"), metric("Nodes"))
    }

    /// Removes all cookies.
    #[track_caller]
    pub fn forget(&self) {
        self.post("/goog/cdp/execute", &json!({ "cmd": "Network.clearBrowserCookies", "params": {} }));
    }

    #[track_caller]
    fn find(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    /// Returns a screenshot of the page, as PNG.
    #[track_caller]
    pub fn screenshot(&self) -> Vec<u8> {
        use base64::Engine as _;
        let answer: Value =
            self.client.get(format!("{}/screenshot", self.session)).send().unwrap().json().unwrap();
        base64::engine::general_purpose::STANDARD.decode(answer["value"].as_str().unwrap()).unwrap()
    }

    /// Returns the messages of the console since the last call, including errors of the network and of
    /// Content-Security-Policy.
    #[track_caller]
    pub fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({ "type": "browser" }));
        let text = |entry: &Value| format!("{}: {}", entry["level"], entry["message"]);
        entries.as_array().unwrap().iter().map(text).collect()
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        let mut answer: Value =
            self.client.post(format!("{}{path}", self.session)).json(body).send().unwrap().json().unwrap();
        assert!(answer["value"].get("error").is_none(), "the browser refuses {path}: {}", answer["value"]);
        answer["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of the session ends the browser. Remaining processes are killed.
        let processes = Process(self.driver.id() as i32).descendants();
        let _ = self.client.delete(&self.session).send();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        for process in processes {
            if wait::until_ok(5.0, || !process.is_alive()).is_none() {
                process.signal(nix::sys::signal::Signal::SIGKILL);
            }
        }
    }
}
