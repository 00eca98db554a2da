//! What Wix refuses.

use serde_json::{Value, json};
use wix_sim::{Endpoint, Fault, Sim};

use crate::client::{Answer, BOOKINGS, CONTACTS, ORDERS, get, post, send, site};

fn code(answer: &Answer) -> String {
    let body = answer.json();
    let code = body["details"]["applicationError"]["code"].as_str();
    code.unwrap_or_default().to_owned()
}

#[test]
fn contacts_refuse_what_their_table_does_not_list() {
    let sim = site(3, 0, 0);
    let cases = [
        (json!({"paging": {"limit": 1001}}), "ILLEGAL_LIMIT"),
        (json!({"sort": [{"fieldName": "updatedDate"}]}), "UNSUPPORTED_SORT_FIELD"),
        (json!({"filter": {"info.shoeSize": 44}}), "UNSUPPORTED_FILTER_FIELD_UNKNOWN"),
        (json!({"filter": {"id": {"$gt": "a"}}}), "UNSUPPORTED_FILTER_OPERATOR"),
        (json!({"filter": {"updatedDate": {"$gte": "yesterday"}}}), "UNSUPPORTED_FILTER_VALUE"),
        (json!({"filter": {"updatedDate": {"$gte": 7}}}), "UNSUPPORTED_FILTER_VALUE_TYPE"),
        (json!({"filter": {"$xor": []}}), "MALFORMED_FILTER"),
        (json!({"filter": []}), "MALFORMED_FILTER"),
    ];
    for (query, expected) in cases {
        let answer = post(&sim, CONTACTS, &json!({ "query": query }));
        assert_eq!((answer.status, code(&answer).as_str()), (400, expected), "{query}");
    }
    assert_eq!(get(&sim, "/contacts/v4/contacts?paging.limit=x").status, 400);
}

#[test]
fn cursor_endpoints_refuse_bad_cursors_and_limits() {
    let sim = site(3, 250, 250);
    for (path, name) in [(BOOKINGS, "query"), (ORDERS, "search")] {
        let ask = |query: Value| post(&sim, path, &json!({ name: query }));
        assert_eq!(ask(json!({"cursorPaging": {"limit": 101}})).status, 400);
        assert_eq!(ask(json!({"cursorPaging": {"cursor": "not-a-cursor"}})).status, 400);
        assert_eq!(ask(json!({"cursorPaging": {"limit": -1}})).status, 400);
        let page = ask(json!({"cursorPaging": {"limit": 2}})).json();
        let metadata = page.get("metadata").unwrap_or(&page["pagingMetadata"]);
        let cursor = metadata["cursors"]["next"].clone();
        let both = json!({"cursorPaging": {"cursor": cursor}, "filter": {"status": "CONFIRMED"}});
        assert_eq!(ask(both).status, 400);
        let other = if path == BOOKINGS { (ORDERS, "search") } else { (BOOKINGS, "query") };
        let elsewhere = json!({other.1: {"cursorPaging": {"cursor": cursor}}});
        assert_eq!(post(&sim, other.0, &elsewhere).status, 400);
        assert_eq!(ask(json!({"cursorPaging": {"cursor": cursor}})).status, 200);
        sim.expire_cursors();
        assert_eq!(ask(json!({"cursorPaging": {"cursor": cursor}})).status, 400);
    }
}

fn list(sim: &Sim, headers: &str) -> u16 {
    send(sim, "GET", "/contacts/v4/contacts", headers, "").expect("an answer").status
}

#[test]
fn api_key_is_sent_with_its_site() {
    let sim = site(1, 0, 0);
    let right = "wix-site-id: 00000000-0000-4000-8000-0000000000aa\r\n";
    assert_eq!(list(&sim, ""), 401);
    assert_eq!(list(&sim, "authorization: wrong\r\n"), 401);
    assert_eq!(list(&sim, "authorization: IST.probe\r\n"), 403);
    assert_eq!(list(&sim, "authorization: IST.probe\r\nwix-site-id: other\r\n"), 403);
    assert_eq!(list(&sim, &format!("authorization: Bearer IST.probe\r\n{right}")), 401);
    assert_eq!(list(&sim, &format!("authorization: IST.probe\r\n{right}")), 200);
}

#[test]
fn tokens_are_issued_expire_and_are_revoked() {
    let sim = site(1, 0, 0);
    let known = sim.credentials();
    let ask = |secret: &str, instance: &str| {
        let body = json!({"grant_type": "client_credentials", "client_id": known.app_id,
            "client_secret": secret, "instance_id": instance});
        send(&sim, "POST", "/oauth2/token", "", &body.to_string()).expect("an answer")
    };
    assert_eq!(ask("wrong", &known.instance_id).status, 401);
    assert_eq!(ask(&known.app_secret, "wrong").json()["error"], "invalid_grant");
    let issue = || {
        let answer = ask(&known.app_secret, &known.instance_id).json();
        assert_eq!(answer["expires_in"], 14_400);
        answer["access_token"].as_str().unwrap_or_default().to_owned()
    };
    let token = issue();
    assert!(token.starts_with("OauthNG.JWS."));
    assert_eq!(list(&sim, &format!("authorization: {token}\r\n")), 200);
    assert_eq!(list(&sim, &format!("authorization: Bearer {token}\r\n")), 200);
    sim.revoke_tokens();
    assert_eq!(list(&sim, &format!("authorization: {token}\r\n")), 401);
    let token = issue();
    sim.set_clock_offset(chrono::TimeDelta::hours(5));
    assert_eq!(list(&sim, &format!("authorization: {token}\r\n")), 401);
}

#[test]
fn token_info_names_the_site_of_each_installation() {
    let sim = site(1, 0, 0);
    let known = sim.credentials();
    sim.install_app("another-instance", "another-site");
    let issue = |instance: &str| {
        let body = json!({"grant_type": "client_credentials", "client_id": known.app_id,
            "client_secret": known.app_secret, "instance_id": instance});
        let answer = send(&sim, "POST", "/oauth2/token", "", &body.to_string()).expect("an answer").json();
        answer["access_token"].as_str().expect("a token").to_owned()
    };
    let info = |token: &str| {
        let body = json!({ "token": token }).to_string();
        send(&sim, "POST", "/oauth2/token-info", "", &body).expect("an answer")
    };
    for (instance, site) in [(known.instance_id.as_str(), known.site_id.as_str()), ("another-instance", "another-site")]
    {
        let token = issue(instance);
        let answer = info(&token).json();
        assert_eq!(answer["active"], true);
        assert_eq!((&answer["siteId"], &answer["instanceId"]), (&json!(site), &json!(instance)));
        let authorization = format!("authorization: {token}\r\n");
        assert_eq!(list(&sim, &authorization), 200);
        assert_eq!(list(&sim, &format!("{authorization}wix-site-id: {site}\r\n")), 200);
        assert_eq!(list(&sim, &format!("{authorization}wix-site-id: third-site\r\n")), 403);
    }
    assert_eq!(info("unknown").json(), json!({"active": false}));
    sim.fault(Fault::on(Endpoint::OauthTokenInfo).status(404));
    assert_eq!(info("unknown").status, 404);
}
