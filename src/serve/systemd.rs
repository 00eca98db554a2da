//! systemd's notifications (`Type=notify`): readiness and watchdog, over its datagram socket.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// Does nothing without a socket, for instance if systemd did not start the process. Abstract sockets (`@`) are not
/// supported.
pub(super) struct Systemd {
    socket: Option<(UnixDatagram, String)>,
    watchdog: Option<Duration>,
}

impl Systemd {
    pub(super) fn new(path: Option<String>, watchdog: Option<Duration>) -> Systemd {
        let socket = path.and_then(|path| match UnixDatagram::unbound() {
            Ok(socket) => Some((socket, path)),
            Err(error) => {
                tracing::debug!("systemd cannot be notified: {error}");
                None
            }
        });
        Systemd { socket, watchdog }
    }

    /// If this fails, systemd's own timeout applies.
    pub(super) fn notify(&self, state: &str) {
        let Some((socket, path)) = &self.socket else { return };
        if let Err(error) = socket.send_to(state.as_bytes(), path) {
            tracing::debug!("systemd cannot be notified: {error}");
        }
    }

    /// Maximum interval of watchdog notifications.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.watchdog.map(|time| time / 3)
    }
}
