use super::*;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::google::rpc::Status;

fn snapshot(clusters: &[(&str, &str)]) -> Snapshot {
    let one = |(name, content): &(&str, &str)| {
        let body = Any { type_url: Kind::Cluster.type_url().into(), value: content.as_bytes().to_vec() };
        (Kind::Cluster, (*name).to_owned(), body)
    };
    Snapshot::new("v".into(), clusters.iter().map(one).collect())
}

fn request(version: &str, nonce: &str, error: Option<&str>) -> pb::DiscoveryRequest {
    pb::DiscoveryRequest {
        version_info: version.into(),
        response_nonce: nonce.into(),
        type_url: Kind::Cluster.type_url().into(),
        error_detail: error.map(|message| Status { message: message.into(), ..Status::default() }),
        ..pb::DiscoveryRequest::default()
    }
}

#[test]
fn a_first_request_gets_all_an_ack_gets_nothing_and_a_change_is_sent_once() {
    let (one, two) = (snapshot(&[("a", "1")]), snapshot(&[("a", "2"), ("b", "1")]));
    let mut stream = Sotw::default();
    let sent = stream.on_request(&request("", "", None), Some(&one)).responses.remove(0);
    assert_eq!((sent.resources.len(), sent.version_info.as_str()), (1, one.version(Kind::Cluster)));
    let acked = stream.on_request(&request(&sent.version_info, &sent.nonce, None), Some(&one));
    assert_eq!(acked.responses, []);
    assert_eq!(acked.report, Some(Report { kind: Kind::Cluster, version: sent.version_info, error: None }));
    assert_eq!(stream.on_snapshot(&two).first().map(|sent| sent.resources.len()), Some(2));
    assert_eq!(stream.on_snapshot(&two), []);
}

#[test]
fn a_nack_is_reported_and_the_same_version_not_sent_again_but_another_is() {
    let (bad, good) = (snapshot(&[("a", "bad")]), snapshot(&[("a", "good")]));
    let mut stream = Sotw::default();
    let sent = stream.on_request(&request("", "", None), Some(&bad)).responses.remove(0);
    let outcome = stream.on_request(&request("", &sent.nonce, Some("no such thing")), Some(&bad));
    assert_eq!(outcome.responses, []);
    assert_eq!(outcome.report.unwrap().error.as_deref(), Some("no such thing"));
    assert_eq!(stream.on_snapshot(&bad), []);
    assert_eq!(stream.on_snapshot(&good).len(), 1);
}

#[test]
fn an_old_nonce_is_passed_over_and_a_reconnect_with_the_same_version_is_quiet() {
    let one = snapshot(&[("a", "1")]);
    let mut stream = Sotw::default();
    stream.on_request(&request("", "", None), Some(&one));
    assert_eq!(stream.on_request(&request("x", "0", Some("late")), Some(&one)), Outcome::default());

    let mut again = Sotw::default();
    let outcome = again.on_request(&request(one.version(Kind::Cluster), "", None), Some(&one));
    assert_eq!(outcome.responses, []);
    assert!(outcome.report.is_some(), "it is known to have it");
    let mut behind = Sotw::default();
    assert_eq!(behind.on_request(&request("older", "", None), Some(&one)).responses.len(), 1);
}

fn delta(subscribe: &[&str], nonce: &str, known: &[(&str, &str)]) -> pb::DeltaDiscoveryRequest {
    pb::DeltaDiscoveryRequest {
        type_url: Kind::Cluster.type_url().into(),
        resource_names_subscribe: subscribe.iter().map(|name| (*name).to_owned()).collect(),
        initial_resource_versions: known.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        response_nonce: nonce.into(),
        ..pb::DeltaDiscoveryRequest::default()
    }
}

#[test]
fn delta_sends_what_differs_and_names_what_is_gone() {
    let (one, two) = (snapshot(&[("a", "1"), ("b", "1")]), snapshot(&[("a", "2")]));
    let mut stream = Delta::default();
    let sent = stream.on_request(&delta(&[], "", &[]), Some(&one)).responses.remove(0);
    assert_eq!(sent.resources.len(), 2);
    let acked = stream.on_request(&delta(&[], &sent.nonce, &[]), Some(&one));
    assert_eq!((acked.responses.len(), acked.report.map(|r| r.error)), (0, Some(None)));
    let change = stream.on_snapshot(&two).remove(0);
    assert_eq!((change.resources.len(), change.removed_resources), (1, vec!["b".to_owned()]));
}

#[test]
fn delta_reconnects_quietly_and_answers_for_names_that_do_not_exist() {
    let one = snapshot(&[("a", "1")]);
    let version = one.of(Kind::Cluster).get("a").unwrap().version.clone();
    let mut stream = Delta::default();
    assert_eq!(stream.on_request(&delta(&[], "", &[("a", &version)]), Some(&one)).responses, []);
    let mut named = Delta::default();
    let sent = named.on_request(&delta(&["zzz"], "", &[]), Some(&one)).responses.remove(0);
    assert_eq!((sent.resources.len(), sent.removed_resources), (0, vec!["zzz".to_owned()]));
}
