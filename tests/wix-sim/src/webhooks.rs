//! Webhooks as Wix delivers them to an app: signed, maybe twice, in any order, and again after any answer but 200.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use serde_json::{Value, json};

use crate::site::Entity;

/// The public key of the simulated app, which its dashboard shows.
pub const PUBLIC_KEY: &str = include_str!("../keys/webhooks.pub.pem");

/// The private key to [`PUBLIC_KEY`], for tests only.
const PRIVATE_KEY: &str = include_str!("../keys/webhooks.pem");

/// A private key that belongs to nobody.
const FOREIGN_KEY: &str = include_str!("../keys/foreign.pem");

/// How long a token is valid at Wix, in seconds.
const TOKEN_LIFE: i64 = 3_600_000;

/// Minutes from one attempt to the next.
const REPEATS: [i64; 12] = [1, 10, 60, 120, 120, 120, 240, 240, 240, 480, 480, 720];

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// As Wix does.
    Rs256,
    /// With the same key, and another algorithm.
    Rs384,
    Rs512,
    Ps256,
    /// With another key.
    Foreign,
    /// With the text of the public key as the secret.
    Hs256,
    /// Not at all.
    None,
}

/// A compact JWT with this header and these claims.
pub fn sign(header: &Value, claims: &Value, signature: Signature) -> io::Result<String> {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let bytes = match signature {
        Signature::Rs256 => sign_rsa(PRIVATE_KEY, &RSA_PKCS1_SHA256, &signed)?,
        Signature::Rs384 => sign_rsa(PRIVATE_KEY, &RSA_PKCS1_SHA384, &signed)?,
        Signature::Rs512 => sign_rsa(PRIVATE_KEY, &RSA_PKCS1_SHA512, &signed)?,
        Signature::Ps256 => sign_rsa(PRIVATE_KEY, &RSA_PSS_SHA256, &signed)?,
        Signature::Foreign => sign_rsa(FOREIGN_KEY, &RSA_PKCS1_SHA256, &signed)?,
        Signature::Hs256 => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, PUBLIC_KEY.as_bytes());
            hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
        }
        Signature::None => Vec::new(),
    };
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes)))
}

fn sign_rsa(pem: &str, encoding: &'static dyn RsaEncoding, signed: &str) -> io::Result<Vec<u8>> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = STANDARD.decode(base64).map_err(|error| io::Error::other(error.to_string()))?;
    let key = RsaKeyPair::from_pkcs8(&key).map_err(|error| io::Error::other(error.to_string()))?;
    let mut bytes = vec![0; key.public().modulus_len()];
    key.sign(encoding, &SystemRandom::new(), signed.as_bytes(), &mut bytes)
        .map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// The claims of a webhook with this event, as Wix nests them.
pub fn claims(instance_id: &str, event: &Value, now: DateTime<Utc>) -> Value {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let event_type = format!("{}_{}", text("entityFqdn"), text("slug"));
    let identity = json!({"identityType": "WIX_USER", "wixUserId": "5a7c9e10-2b4d-4f60-8172-93a4b5c6d7e8"});
    let data = json!({
        "data": event.to_string(),
        "instanceId": instance_id,
        "eventType": event_type,
        "identity": identity.to_string(),
    });
    json!({"data": data.to_string(), "iat": now.timestamp(), "exp": now.timestamp() + TOKEN_LIFE})
}

/// Sends a request with a body. Returns the status code.
pub fn post(address: &str, path: &str, headers: &[(&str, &str)], body: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    let mut request = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    write!(stream, "{request}content-length: {}\r\n\r\n{body}", body.len())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let status = response.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::other("no response"))
}

/// An event that is not delivered yet.
#[derive(Clone, Debug)]
struct Delivery {
    event: Value,
    due_at: DateTime<Utc>,
    attempts: usize,
}

/// The events of a site on their way to an app.
#[derive(Clone, Debug)]
pub struct Webhooks {
    address: String,
    instance_id: String,
    now: DateTime<Utc>,
    count: u64,
    waiting: Vec<Delivery>,
}

impl Webhooks {
    /// For an app that listens at this host and port.
    pub fn new(address: &str, instance_id: &str) -> Self {
        let (address, instance_id) = (address.to_owned(), instance_id.to_owned());
        Self { address, instance_id, now: Utc::now(), count: 0, waiting: Vec::new() }
    }

    /// From now on the app listens there.
    pub fn deliver_to(&mut self, address: &str) {
        address.clone_into(&mut self.address);
    }

    /// Something happened to a record: `slug` is `created`, `updated`, `deleted` or the name of an action.
    pub fn happened(&mut self, entity: Entity, slug: &str, id: &str) {
        let details = match slug {
            "created" => json!({"createdEvent": {"entity": {"id": id}}}),
            "updated" => json!({"updatedEvent": {"currentEntity": {"id": id}}}),
            "deleted" => json!({"deletedEvent": {}}),
            _ => json!({"actionEvent": {"body": {}}}),
        };
        self.push(entity, slug, id, &details);
    }

    /// A deleted contact was restored.
    pub fn restored(&mut self, id: &str) {
        let restored = json!({"entity": {"id": id}, "restoreInfo": {"deletedDate": "2026-09-16T11:20:44.019Z"}});
        self.push(Entity::Contacts, "created", id, &json!({"createdEvent": restored}));
    }

    /// A contact was merged into another one: three events.
    pub fn merged(&mut self, source: &str, target: &str) {
        let body = json!({"targetContactId": target, "sourceContactIds": [source]});
        self.push(Entity::Contacts, "merged", target, &json!({"actionEvent": {"body": body}}));
        let mark = json!({"originatedFrom": "merge"});
        self.push(Entity::Contacts, "updated", target, &mark);
        self.push(Entity::Contacts, "deleted", source, &mark);
    }

    fn push(&mut self, entity: Entity, slug: &str, id: &str, details: &Value) {
        self.count += 1;
        let fqdn = match entity {
            Entity::Contacts => "wix.contacts.v4.contact",
            Entity::Bookings => "wix.bookings.v2.booking",
            Entity::Orders => "wix.ecom.v1.order",
        };
        let mut event = json!({
            "id": format!("8f0e1d2c-3b4a-4968-8778-{:012}", self.count),
            "entityFqdn": fqdn,
            "slug": slug,
            "entityId": id,
            "eventTime": "2026-09-14T17:05:12.904331Z",
            "entityEventSequence": self.count.to_string(),
        });
        for (name, value) in details.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        self.waiting.push(Delivery { event, due_at: self.now, attempts: 0 });
    }

    /// Every event that waits is sent `times` times in all.
    pub fn duplicate(&mut self, times: usize) {
        self.waiting = self.waiting.iter().flat_map(|delivery| vec![delivery.clone(); times]).collect();
    }

    /// The events that wait are sent in an order that this number decides.
    pub fn shuffle(&mut self, seed: u64) {
        let mut state = seed | 1;
        for last in (1..self.waiting.len()).rev() {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            self.waiting.swap(last, (state % (last as u64 + 1)) as usize);
        }
    }

    /// Lets time pass for repeats and for the times in tokens.
    pub fn pass(&mut self, time: TimeDelta) {
        self.now += time;
    }

    /// How many events are not delivered, and not given up.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Sends what is due, once. Returns the status of each; 0 if there was no response.
    pub fn deliver(&mut self) -> io::Result<Vec<u16>> {
        let (due, later) = std::mem::take(&mut self.waiting).into_iter().partition(|it| it.due_at <= self.now);
        self.waiting = later;
        let due: Vec<Delivery> = due;
        let mut statuses = Vec::with_capacity(due.len());
        for mut delivery in due {
            let header = json!({"kid": "Ab3dEf7h", "alg": "RS256"});
            let token = sign(&header, &claims(&self.instance_id, &delivery.event, self.now), Signature::Rs256)?;
            let status = post(&self.address, "/webhooks/wix", &[("content-type", "text/plain")], &token).unwrap_or(0);
            statuses.push(status);
            if let Some(wait) = REPEATS.get(delivery.attempts).filter(|_| status != 200) {
                delivery.attempts += 1;
                delivery.due_at = self.now + TimeDelta::minutes(*wait);
                self.waiting.push(delivery);
            }
        }
        Ok(statuses)
    }
}
