//! Notifies a monitor of the start and the end of a run, with the protocol of healthchecks.io.
//!
//! The monitor never affects a run: its time is limited to a few seconds, and its response is ignored. Its address is
//! like a password, so it never appears in a message. This is the only HTTP client besides [`crate::wix`]. It knows
//! neither credentials nor records, and must not share headers with it.

use std::time::Duration;

use reqwest::{Client, Url, redirect};
use uuid::Uuid;

use crate::address::Address;
use crate::network::{CertificateProblem, Network, chain};
use crate::secret::Secret;

/// Maximum time for the monitor's response.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Delay before the only retry.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Maximum size of a body that the monitor stores, in bytes. More is not sent.
const MAX_BODY: usize = 10_000;

const MAX_REDIRECTS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Start,
    Success,
    Fail,
    /// Neither success nor failure: the monitor only logs it.
    Log,
}

#[derive(Clone, Debug)]
pub struct Healthcheck {
    http: Client,
    address: Secret,
    run_id: Uuid,
}

impl Healthcheck {
    /// The error is about the address and does not quote it.
    pub fn new(address: &Secret, network: &Network, run_id: Uuid) -> Result<Healthcheck, String> {
        let http = network
            .client(&Address::parse(address.reveal())?)?
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::custom(on_the_same_host))
            .build()
            .map_err(|error| chain(&error.without_url()))?;
        Ok(Healthcheck { http, address: address.clone(), run_id })
    }

    /// Sends the signal, with at most one retry. The error has the reason without the address.
    pub async fn send(&self, signal: Signal, body: &str) -> Result<(), String> {
        let url = signal_url(self.address.reveal(), signal, self.run_id)?;
        let end = body.char_indices().map(|(at, _)| at).find(|at| *at >= MAX_BODY).unwrap_or(body.len());
        let first = self.try_send(&url, &body[..end]).await;
        match first {
            Err((_, true)) => {
                tokio::time::sleep(RETRY_DELAY).await;
                self.try_send(&url, &body[..end]).await.map_err(|(reason, _)| reason)
            }
            other => other.map_err(|(reason, _)| reason),
        }
    }

    /// Sends the signal once. The error includes whether a retry may succeed.
    async fn try_send(&self, url: &Url, body: &str) -> Result<(), (String, bool)> {
        let response = self.http.post(url.clone()).body(body.to_owned()).send().await.map_err(|error| {
            let problem = CertificateProblem::of(&error);
            let reason = match problem {
                Some(problem) => format!("its certificate {problem}"),
                None if error.is_timeout() => "no response in time".to_owned(),
                None => chain(&error.without_url()),
            };
            (reason, problem.is_none())
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let leads_away =
            if status.is_redirection() { ", a redirect to another host, which is not followed" } else { "" };
        Err((format!("it answered {}{leads_away}", status.as_u16()), status.is_server_error()))
    }
}

/// Because the address is a secret, a redirect is followed only to the same host, and not from https to http.
fn on_the_same_host(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let (next, previous) = (attempt.url(), attempt.previous());
    if previous.len() > MAX_REDIRECTS {
        return attempt.error("too many redirects");
    }
    let is_same = previous.last().is_some_and(|last| {
        let is_upgrade =
            last.scheme() == "http" && last.port().is_none() && next.scheme() == "https" && next.port().is_none();
        next.host_str() == last.host_str() && (next.origin() == last.origin() || is_upgrade)
    });
    if is_same { attempt.follow() } else { attempt.stop() }
}

/// The address of a signal: a word at the end of the path, and the run's id, with which the monitor matches start and
/// end.
fn signal_url(address: &str, signal: Signal, run_id: Uuid) -> Result<Url, String> {
    let mut url = Url::parse(address).map_err(|error| error.to_string())?;
    let word = match signal {
        Signal::Start => "/start",
        Signal::Success => "",
        Signal::Fail => "/fail",
        Signal::Log => "/log",
    };
    let path = format!("{}{word}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.query_pairs_mut().append_pair("rid", &run_id.to_string());
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use uuid::Uuid;

    use super::{Healthcheck, Signal, signal_url};
    use crate::network::Network;
    use crate::secret::Secret;

    #[test]
    fn suffix_is_added_to_the_path_before_the_query() {
        let shown = |address, signal| signal_url(address, signal, Uuid::nil()).unwrap().to_string();
        let rid = "rid=00000000-0000-0000-0000-000000000000";
        assert_eq!(shown("https://hc-ping.com/abc", Signal::Start), format!("https://hc-ping.com/abc/start?{rid}"));
        assert_eq!(shown("https://hc-ping.com/abc/", Signal::Success), format!("https://hc-ping.com/abc?{rid}"));
        assert_eq!(
            shown("http://h:8000/ping/k/slug?create=1", Signal::Fail),
            format!("http://h:8000/ping/k/slug/fail?create=1&{rid}")
        );
        assert_eq!(shown("https://h/x", Signal::Log), format!("https://h/x/log?{rid}"));
    }

    #[tokio::test(start_paused = true)]
    async fn silent_healthcheck_times_out() {
        // The system accepts the connection, but no program reads from it.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Secret::new(&format!("http://{}/check", listener.local_addr().unwrap()));
        let healthcheck = Healthcheck::new(&address, &Network::default(), Uuid::nil()).unwrap();
        let begin = tokio::time::Instant::now();
        assert_eq!(healthcheck.send(Signal::Success, "").await, Err("no response in time".to_owned()));
        assert!(begin.elapsed() < std::time::Duration::from_secs(12), "{:?}", begin.elapsed());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_the_status_of_a_response_is_read() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Secret::new(&format!("http://{}/check", listener.local_addr().unwrap()));
        let endless = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4_096]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            while stream.write_all(&[b'a'; 65_536]).is_ok() {}
        });
        let healthcheck = Healthcheck::new(&address, &Network::default(), Uuid::nil()).unwrap();
        assert_eq!(healthcheck.send(Signal::Success, "").await, Ok(()));
        endless.join().unwrap();
    }

    #[test]
    fn invalid_address_is_refused_and_not_shown() {
        for bad in ["hc-ping.com/secret-id", "ftp://h/secret-id", "", "https://"] {
            let error = Healthcheck::new(&Secret::new(bad), &Network::default(), Uuid::nil()).unwrap_err();
            assert!(!error.contains("secret-id"), "{error}");
        }
    }
}
