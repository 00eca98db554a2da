//! Webhooks and hints: which are accepted, and which records they name.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::Utc;
use serde_json::{Value, json};
use wix_sim::webhooks::{PUBLIC_KEY, Signature, Webhooks, claims, sign};

use super::server::Served;
use crate::support::harness::World;
use crate::support::running::wait_until;

pub(super) const INSTANCE: &str = "c2a7f1de-0c5b-4f53-8a34-6b1de90f7a02";
pub(super) const CONTACT: &str = "0a6d2f5e-1c1b-4e39-9a4e-5a54c3f0b101";
const MERGED: &str = "0a6d2f5e-1c1b-4e39-9a4e-5a54c3f0b102";
pub(super) const BOOKING: &str = "3c1f7f3a-6a55-4b86-8a6a-2d4b6f9c0a11";
pub(super) const ORDER: &str = "e1d2c3b4-a596-4877-8665-544332211011";
const TOKEN: &str = "hint-token-0123456789";

/// A site whose webhooks are accepted, synced once.
pub(super) fn world(contacts: usize, bookings: usize, orders: usize) -> World {
    let mut world = World::new(contacts, bookings, orders);
    world.set("WIX_WEBHOOK_PUBLIC_KEY", PUBLIC_KEY);
    world.set("WIX_APP_INSTANCE_ID", INSTANCE);
    world.set("WIX_SYNC_HINT_TOKEN", TOKEN);
    let world = world.migrated();
    world.sync_json(&["all"], 0);
    world.sim.clear_requests();
    world
}

pub(super) fn contact_ids(world: &World) -> Vec<String> {
    world.sim.contacts().iter().filter_map(|contact| contact["id"].as_str().map(str::to_owned)).collect()
}

pub(super) fn webhooks(served: &Served) -> Webhooks {
    Webhooks::new(&format!("127.0.0.1:{}", served.port), INSTANCE)
}

/// Delivers all that is due, which must be accepted.
#[track_caller]
pub(super) fn deliver(webhooks: &mut Webhooks) {
    let statuses = webhooks.deliver().expect("tokens can be signed");
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

pub(super) fn entries(world: &World) -> i64 {
    world.value("select count(*) from sync_inbox")
}

pub(super) fn wait_until_empty(world: &World) {
    wait_until("the inbox is empty", || entries(world) == 0);
}

/// Lets somebody else hold the lock, so that the inbox keeps what comes.
fn lock(world: &World) {
    world.execute(
        "insert into sync_locks (name, token, run_id, holder, acquired_at, renewed_at, expires_at)
         values ('sync', 1000, gen_random_uuid(), '{\"pid\": 1, \"host\": \"elsewhere\"}', now(), now(), now() + interval '60 s')
         on conflict (name) do update set token = sync_locks.token + 1, run_id = excluded.run_id, holder = excluded.holder,
            expires_at = excluded.expires_at",
    );
}

/// What waits in the inbox, as `table id events`.
fn inbox(world: &World) -> Vec<String> {
    let rows = world.query("select table_name || ' ' || wix_id || ' ' || events from sync_inbox order by 1");
    rows.iter().map(|row| row.get(0)).collect()
}

fn samples(prefix: &str) -> BTreeMap<String, Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/wix/payloads/webhooks");
    let files = std::fs::read_dir(directory).expect("the samples are there").map(|file| file.expect("a file").path());
    let named = files.map(|path| {
        let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).expect("it can be read");
        (name, serde_json::from_str(&text).expect("it is JSON"))
    });
    named.filter(|(name, _)| name.starts_with("unsigned") == (prefix == "unsigned")).collect()
}

/// The claims of a sample, valid from now on. `is_pretty`: as the dashboard's test button writes them.
fn claims_of(sample: &Value, is_pretty: bool) -> Value {
    let inner = &sample["inner"];
    let inner = if is_pretty { format!("{inner:#} ") } else { inner.to_string() };
    let mut data = json!({"data": inner, "instanceId": sample["instanceId"], "eventType": sample["eventType"]});
    for name in ["identity", "accountInfo", "webhookId"] {
        match &sample[name] {
            Value::Null => {}
            value if name == "identity" => data[name] = json!(value.to_string()),
            value => data[name] = value.clone(),
        }
    }
    let now = Utc::now().timestamp();
    json!({"data": data.to_string(), "iat": now, "exp": now + 3_600_000})
}

fn header() -> Value {
    json!({"kid": "Ab3dEf7h", "alg": "RS256"})
}

pub(super) fn signed(claims: &Value) -> String {
    sign(&header(), claims, Signature::Rs256).expect("it can be signed")
}

fn contact_updated() -> Value {
    json!({"entityFqdn": "wix.contacts.v4.contact", "slug": "updated", "entityId": CONTACT, "id": "8f0e1d2c"})
}

#[test]
fn signed_samples_name_their_records() {
    let world = world(3, 0, 0);
    let served = Served::start(&world, &[]);
    lock(&world);
    let samples = samples("signed");
    assert_eq!(samples.len(), 24);
    for (name, sample) in samples {
        let mut expected = match name.split('_').next() {
            Some("contact") => vec![format!("customers {CONTACT} 2")],
            Some("booking") => vec![format!("appointments {BOOKING} 2")],
            Some("order" | "fulfillments" | "account") => vec![format!("orders {ORDER} 2")],
            _ => vec![],
        };
        if name == "contact_merged" {
            expected.push(format!("customers {MERGED} 2"));
        } else if name.starts_with("contact_deleted") || name.starts_with("order_imported") {
            let (table, id) = if name.starts_with("order") { ("orders", ORDER) } else { ("customers", CONTACT) };
            let id = sample["inner"]["entityId"].as_str().unwrap_or(id);
            expected = vec![format!("{table} {id} 2")];
        }
        for is_pretty in [false, true] {
            let token = signed(&claims_of(&sample, is_pretty));
            let answer = served.call("POST", "/webhooks/wix", &["content-type: text/plain"], &token);
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
        }
        assert_eq!(inbox(&world), expected, "{name}");
        world.execute("delete from sync_inbox");
    }
}

#[test]
fn odd_but_valid_webhooks_are_accepted_and_others_change_nothing() {
    let world = world(3, 0, 0);
    let served = Served::start(&world, &[]);
    lock(&world);
    let now = Utc::now();
    let event = contact_updated();
    let whole = claims(INSTANCE, &event, now);
    let send = |token: &str, stored: bool| {
        assert_eq!(served.call("POST", "/webhooks/wix", &[], token).status, 200, "{token}");
        assert_eq!(inbox(&world).len(), usize::from(stored), "{token}");
        world.execute("delete from sync_inbox");
    };
    let with = |name: &str, value: Value| {
        let mut claims = whole.clone();
        claims[name] = value;
        signed(&claims)
    };
    send(&format!(" \r\n{}\n", signed(&whole)), true);
    let token = signed(&whole);
    send(&format!("{token}{}", "=".repeat((4 - token.rsplit('.').next().map_or(0, str::len) % 4) % 4)), true);
    send(&with("exp", json!(now.timestamp() - 200)), true);
    send(&with("nbf", json!(now.timestamp() + 200)), true);
    send(&with("iat", json!(now.timestamp() + 86_400)), true);
    send(&with("aud", json!("anyone")), true);
    let data = |inner: Value| json!({"instanceId": INSTANCE, "data": inner.to_string()}).to_string();
    send(&with("data", json!(data(event.clone()))), true);
    let upper = json!({"entityFqdn": "wix.contacts.v4.contact", "entityId": format!(" {} ", CONTACT.to_uppercase())});
    send(&with("data", json!(data(upper))), true);
    // By the type alone, and as objects.
    let inner = json!({"entityId": CONTACT});
    let outer = json!({"instanceId": INSTANCE, "eventType": "wix.contacts.v4.contact_updated", "data": inner});
    send(&with("data", outer), true);
    // Nothing that is synced, or nothing that can be read.
    send(&signed(&claims("00000000-0000-4000-8000-000000000000", &event, now)), false);
    for inner in [
        json!({"entityFqdn": "wix.blog.v3.draft_post", "slug": "updated", "entityId": CONTACT}),
        json!({"entityFqdn": "wix.contacts.v4.contact", "slug": "updated"}),
        json!({"entityFqdn": "wix.contacts.v4.contact", "entityId": "x".repeat(600)}),
        json!({"entityFqdn": "wix.contacts.v4.contact", "entityId": "a\u{0}b"}),
        json!(["a list"]),
    ] {
        send(&with("data", json!(data(inner))), false);
    }
    send(&with("data", json!("no JSON")), false);
    send(&with("data", Value::Null), false);
}

#[test]
fn forged_and_expired_tokens_are_refused() {
    let world = world(1, 0, 0);
    let served = Served::start(&world, &[]);
    let now = Utc::now();
    let whole = claims(INSTANCE, &contact_updated(), now);
    let with = |name: &str, value: Value| {
        let mut claims = whole.clone();
        claims[name] = value;
        signed(&claims)
    };
    let by = |algorithm: &str, signature| {
        sign(&json!({"kid": "Ab3dEf7h", "alg": algorithm}), &whole, signature).expect("it can be signed")
    };
    let valid = signed(&whole);
    let parts: Vec<&str> = valid.split('.').collect();
    let other = signed(&claims(INSTANCE, &json!({"entityId": "another"}), now));
    let crit = json!({"alg": "RS256", "crit": ["b64"], "b64": false});
    let tokens = [
        ("HS256 with the public key", by("HS256", Signature::Hs256)),
        ("HS256 said to be RS256", by("RS256", Signature::Hs256)),
        ("none", by("none", Signature::None)),
        ("RS256 without a signature", by("RS256", Signature::None)),
        ("RS384", by("RS384", Signature::Rs384)),
        ("RS512", by("RS512", Signature::Rs512)),
        ("RS512 said to be RS256", by("RS256", Signature::Rs512)),
        ("PS256", by("PS256", Signature::Ps256)),
        ("foreign key", by("RS256", Signature::Foreign)),
        ("unknown crit", sign(&crit, &whole, Signature::Rs256).expect("it can be signed")),
        ("expired", with("exp", json!(now.timestamp() - 400))),
        ("without exp", with("exp", Value::Null)),
        ("exp as text", with("exp", json!((now.timestamp() + 1000).to_string()))),
        ("iat as text", with("iat", json!(now.timestamp().to_string()))),
        ("not valid yet", with("nbf", json!(now.timestamp() + 400))),
        ("truncated", valid[..valid.len() - 10].to_owned()),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{valid}.{}", parts[2])),
        ("another payload", format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap_or_default(), parts[2])),
        ("in quotes", format!("\"{valid}\"")),
        ("empty", String::new()),
        ("garbage", "\u{fffd}.{}.x".to_owned()),
    ];
    for (what, token) in tokens {
        let answer = served.call("POST", "/webhooks/wix", &[], &token);
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        assert!(!answer.body.contains(CONTACT), "{what}: {answer:?}");
    }
    assert_eq!(entries(&world), 0);
    assert!(served.get("/metrics").body.contains("wix_sync_events_total{outcome=\"refused\"} 22"));
}

#[test]
fn public_key_is_read_in_its_usual_forms() {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(PUBLIC_KEY);
    let mut world = world(1, 0, 0);
    for key in [PUBLIC_KEY.replace('\n', "\\n"), PUBLIC_KEY.replace('\n', "\r\n"), base64, format!("\"{PUBLIC_KEY}\"")]
    {
        world.set("WIX_WEBHOOK_PUBLIC_KEY", &key);
        let served = Served::start(&world, &[]);
        deliver(&mut webhooks(&served));
        let token = signed(&claims(INSTANCE, &json!({"entityId": "x"}), Utc::now()));
        assert_eq!(served.call("POST", "/webhooks/wix", &[], &token).status, 200, "{key}");
    }
    let short = "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDdoXOkLdTxR4YxHlZO/mGTzkaA\n\
        U29H/D6nkutQFSF0MmOs/0DRDcbMenhsfg5Z2nUnc6ty/m6JY1zhuB/NZMBzg0Tq\nTl8tygyNCYdJuHg0PCOgW+wG29kSn301IwqSNGF7o7gm\
        Qx5igb3BMx0ZfgWcxpdH\n/C8JwMdJ6u5Mbq+4BwIDAQAB\n-----END PUBLIC KEY-----";
    for (key, problem) in [
        ("secret", "neither a PEM nor the base64 of one"),
        ("c2VjcmV0", "neither a PEM nor the base64 of one"),
        (short, "shorter than 2,048 bits"),
        (&PUBLIC_KEY.replace("PUBLIC", "RSA PUBLIC"), "PKCS#1"),
        (&PUBLIC_KEY.replace("PUBLIC KEY", "CERTIFICATE"), "a certificate"),
        (&PUBLIC_KEY.replace("PUBLIC", "PRIVATE"), "a private key"),
        (&PUBLIC_KEY.replace('\n', ""), "not a readable PEM"),
    ] {
        world.set("WIX_WEBHOOK_PUBLIC_KEY", key);
        let finished = world.run(&["serve", "--listen", "127.0.0.1:0"]).expect_exit(2).expect_stderr(problem);
        let middle = &PUBLIC_KEY[40..60];
        assert!(
            finished.stderr.contains("WIX_WEBHOOK_PUBLIC_KEY") && !finished.stderr.contains(middle),
            "{finished:?}"
        );
    }
    world.set("WIX_WEBHOOK_PUBLIC_KEY", "");
    let served = Served::start(&world, &[]);
    let token = signed(&claims(INSTANCE, &contact_updated(), Utc::now()));
    assert_eq!(served.call("POST", "/webhooks/wix", &[], &token).status, 503, "Wix sends it again");
}

#[test]
fn hints_need_their_token_and_name_records() {
    let world = world(1, 0, 0);
    let served = Served::start(&world, &[]);
    lock(&world);
    let expected = [
        ("unsigned-automation-custom-params", format!("appointments {BOOKING} 1")),
        ("unsigned-automation-order-placed", format!("orders {ORDER} 1")),
        ("unsigned-automation-session-booked", format!("appointments {BOOKING} 1")),
        ("unsigned-velo-forwarded", format!("customers {CONTACT} 1")),
    ];
    let samples = samples("unsigned");
    assert_eq!(samples.len(), expected.len());
    for (name, entry) in expected {
        let request = &samples[name]["request"];
        let text = |value: &Value| value.as_str().unwrap_or_default().replace("REPLACE-ME", TOKEN);
        let path = text(&request["path"]).replace("/hooks/wix", "/webhooks/hint");
        let headers = request["headers"].as_object().expect("headers").iter();
        let headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {}", text(value))).collect();
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let body = request["body"].to_string().replace("REPLACE-ME", TOKEN);
        let answer = served.call("POST", &path, &headers, &body);
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert_eq!(inbox(&world), [entry], "{name}");
        world.execute("delete from sync_inbox");
    }
    let body = contact_updated().to_string();
    let query = format!("/webhooks/hint?token={TOKEN}");
    let bearer = format!("authorization: Bearer {TOKEN}");
    assert_eq!(served.call("POST", "/webhooks/hint", &[&bearer], &body).status, 200);
    let whole_velo_event =
        json!({"metadata": {"entityFqdn": "wix.contacts.v4.contact", "entityId": CONTACT}, "entity": {}});
    assert_eq!(served.call("POST", &query, &[], &whole_velo_event.to_string()).status, 200);
    let in_query = format!("{query}&entityFqdn=wix.contacts.v4.contact&entityId={CONTACT}");
    assert_eq!(served.call("POST", &in_query, &[], "").status, 200);
    assert_eq!(inbox(&world), [format!("customers {CONTACT} 3")]);
    let unknown = json!({"entityFqdn": "wix.blog.v3.draft_post", "entityId": "x"}).to_string();
    assert_eq!(served.call("POST", &query, &[], &unknown).status, 200);
    assert_eq!(served.call("POST", &query, &[], "{}").status, 400);
    for (path, header) in [
        ("/webhooks/hint", "x: y"),
        ("/webhooks/hint?token=", "x: y"),
        ("/webhooks/hint?token=wrong", "authorization: Bearer wrong"),
    ] {
        assert_eq!(served.call("POST", path, &[header], &body).status, 401, "{path}");
    }
    assert_eq!(entries(&world), 1);
    assert!(!served.log().contains(TOKEN), "{}", served.log());
}
