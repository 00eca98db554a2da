//! The status page in real headless Chromium, driven over WebDriver. Ignored unless asked for, since a bare machine has
//! no browser: `.ci/run` installs one where it may. `WIX_SYNC_CHROMEDRIVER` is the path of `chromedriver`; with
//! `WIX_SYNC_SCREENSHOT`, a directory, the test leaves screenshots there.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use wix_sim::Endpoint;

use super::server::{Served, call};
use crate::support::harness::World;
use crate::support::running::{Gate, wait_until};

/// A browser of this test alone.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    fn start(window: &str) -> Browser {
        let path = std::env::var("WIX_SYNC_CHROMEDRIVER").expect("WIX_SYNC_CHROMEDRIVER is the path of chromedriver");
        let mut driver =
            Command::new(path).arg("--port=0").stdout(Stdio::piped()).spawn().expect("chromedriver starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("its output can be read")).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok())
            .expect("it says its port");
        // What it prints later must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser = Browser { driver, port, session: String::new() };
        let arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", window];
        let options = json!({ "args": arguments });
        let logs = json!({ "browser": "ALL", "performance": "ALL" });
        let capabilities = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": logs });
        let session = browser.send("POST", "/session", &json!({ "capabilities": { "alwaysMatch": capabilities } }));
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = call(self.port, method, path, &["content-type: application/json"], &body.to_string());
        let value = answer.json()["value"].clone();
        assert_eq!(answer.status, 200, "{path}: {value}");
        value
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.send("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// The value of an expression in the page.
    fn value(&self, expression: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": format!("return {expression}"), "args": [] }))
    }

    fn wait_for(&self, expression: &str) {
        wait_until(expression, || self.value(expression) == json!(true));
    }

    fn click(&self, selector: &str) {
        let element = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let id =
            element.as_object().and_then(|element| element.values().next()?.as_str()).expect("an element").to_owned();
        self.post(&format!("/element/{id}/click"), &json!({}));
    }

    fn screenshot(&self, name: &str) {
        let Ok(directory) = std::env::var("WIX_SYNC_SCREENSHOT") else { return };
        let path = format!("/session/{}/screenshot", self.session);
        let image = call(self.port, "GET", &path, &[], "").json()["value"].as_str().map(|text| BASE64.decode(text));
        let image = image.expect("an image").expect("it is BASE64");
        std::fs::write(format!("{directory}/{name}.png"), image).expect("it can be written");
    }

    /// Nothing was logged to the console, and nothing was asked of another server.
    #[track_caller]
    fn assert_quiet(&self, base: &str) {
        assert_eq!(self.post("/se/log", &json!({ "type": "browser" })), json!([]));
        let entries = self.post("/se/log", &json!({ "type": "performance" }));
        let mut requests = 0;
        for entry in entries.as_array().expect("entries") {
            let message: Value = serde_json::from_str(entry["message"].as_str().expect("a text")).expect("JSON");
            if message["message"]["method"] == "Network.requestWillBeSent" {
                let url = message["message"]["params"]["request"]["url"].as_str().expect("an address").to_owned();
                requests += 1;
                assert!(
                    url.starts_with(base)
                        || url.split_once('@').is_some_and(|(_, host)| base.ends_with(host.trim_end_matches('/')))
                        || url == "data:,",
                    "{url}"
                );
            }
        }
        assert!(requests > 2, "requests are logged at all");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            call(self.port, "DELETE", &format!("/session/{}", self.session), &[], "");
        }
        // Both fail where the process has ended already.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

const RECORDS: &str =
    "(document.querySelector('#running')?.textContent.match(/appointments: ([0-9,]+)/) || [])[1] || ''";

#[test]
#[ignore = "needs chromedriver: .ci/run starts it"]
fn the_page_shows_a_running_sync_and_starts_one() {
    let mut world = World::new(30, 450, 20).migrated();
    world.set("WIX_SYNC_BATCH_SIZE", "100");
    let browser = Browser::start("--window-size=1000,900");
    let served = Served::start(&world, &[]);
    let base = format!("http://127.0.0.1:{}", served.port);
    browser.post("/url", &json!({ "url": format!("{base}/") }));
    browser.wait_for("document.querySelectorAll('#tables tr').length === 3");
    browser.wait_for("document.querySelector('#running').textContent === 'No sync is running.'");
    let (first, second) =
        (Gate::before(&world.sim, Endpoint::BookingsQuery, 3), Gate::before(&world.sim, Endpoint::BookingsQuery, 5));
    browser.click("#trigger button");
    browser.wait_for("document.querySelector('#message').textContent === 'Sync started for all.'");
    first.wait();
    browser.wait_for(&format!("({RECORDS}) !== ''"));
    let before = browser.value(RECORDS);
    browser.screenshot("running");
    first.open();
    second.wait();
    browser.wait_for(&format!("({RECORDS}) !== '' && ({RECORDS}) !== {before}"));
    second.open();
    browser.wait_for("document.querySelectorAll('#chart rect.completed').length === 1");
    browser.wait_for("document.querySelector('#running').textContent === 'No sync is running.'");
    browser.wait_for("document.querySelector('#tables').textContent.includes('450')");
    browser.screenshot("done");
    browser.assert_quiet(&base);
}

#[test]
#[ignore = "needs chromedriver: .ci/run starts it"]
fn the_button_works_with_the_token_on_a_phone() {
    let mut world = World::new(5, 5, 5).migrated();
    world.set("WIX_SYNC_SERVE_TOKEN", "token-of-the-page");
    let browser = Browser::start("--window-size=360,740");
    let served = Served::start(&world, &[]);
    let base = format!("http://127.0.0.1:{}", served.port);
    let url = format!("http://any:token-of-the-page@127.0.0.1:{}/", served.port);
    browser.post("/url", &json!({ "url": url }));
    browser.wait_for("document.querySelectorAll('#tables tr').length === 3");
    browser.click("#trigger button");
    browser.wait_for("document.querySelector('#message').textContent.startsWith('Sync ')");
    browser.wait_for("document.querySelectorAll('#chart rect.completed').length === 1");
    browser.wait_for("document.documentElement.scrollWidth <= document.documentElement.clientWidth");
    browser.screenshot("phone");
    browser.assert_quiet(&base);
}
