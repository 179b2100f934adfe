//! How the parts of a judgement work together.

use std::error::Error as StdError;

use super::*;
use crate::rejected::Rejected;

fn again<J: Judgement<u32, &'static str>>(judge: &J, outcome: Result<u32, &'static str>) -> bool {
    matches!(judge.judge(&outcome), Verdict::Failed { again: true, .. })
}

#[test]
fn unless_beats_on_and_everything_else_stops() {
    let judge = Judge::by_fault().when(|e: &&str| e.starts_with("io")).unless(|e: &&str| *e == "io: fatal");
    assert!(again(&judge, Err("io: reset")));
    assert!(!again(&judge, Err("io: fatal")));
    assert!(!again(&judge, Err("declined")));
    assert!(!again(&judge, Ok(1)));
}

#[test]
fn the_order_of_the_parts_does_not_matter() {
    let judge = Judge::by_fault().unless(|e: &&str| *e == "io: fatal").when(|e: &&str| e.starts_with("io"));
    assert!(again(&judge, Err("io: reset")));
    assert!(!again(&judge, Err("io: fatal")));
    assert!(!again(&judge, Err("declined")));
}

#[test]
fn unless_alone_accepts_all_others() {
    let judge = Judge::by_fault().unless(|e: &&str| *e == "declined");
    assert!(again(&judge, Err("reset")));
    assert!(!again(&judge, Err("declined")));
}

#[test]
fn on_and_when_must_both_say_yes() {
    let judge = Judge::by_fault().when(|e: &&str| e.len() > 2).when(|e: &&str| e.starts_with('x'));
    assert!(again(&judge, Err("xyz")));
    assert!(!again(&judge, Err("xy")));
    assert!(!again(&judge, Err("abc")));
}

#[test]
fn until_looks_at_the_value_and_leaves_errors_to_the_rest() {
    let judge = Judge::by_fault().when(|_: &&str| false).until(|value: &u32| *value > 2);
    assert!(again(&judge, Ok(2)));
    assert!(!again(&judge, Ok(3)));
    assert!(!again(&judge, Err("any")));
}

#[test]
fn a_value_counts_as_what_the_classification_says() {
    let second = Some(Duration::from_secs(1));
    let judge = Judge::by_fault().unless(|_: &&str| false).classify(move |value: &u32| match value {
        429 => Some(Class::new(FaultKind::Throttled { retry_after: second })),
        500 => Some(Class::new(FaultKind::Transient)),
        501 => Some(Class::new(FaultKind::Permanent)),
        502 => Some(Class::new(FaultKind::Transient).barred(GaveUp::ToldNotTo)),
        _ => None,
    });
    let verdict = |value| Judgement::<u32, &str>::judge(&judge, &Ok(value));
    assert_eq!(verdict(200), Verdict::Settled);
    assert!(matches!(verdict(429), Verdict::Failed { again: true, retry_after, .. } if retry_after == second));
    assert!(matches!(verdict(500), Verdict::Failed { again: true, kind: FaultKind::Transient, barred: None, .. }));
    assert!(matches!(verdict(501), Verdict::Failed { again: false, kind: FaultKind::Permanent, .. }));
    assert!(matches!(verdict(502), Verdict::Failed { again: true, barred: Some(GaveUp::ToldNotTo), .. }));
}

#[test]
fn a_gate_bars_what_may_have_run_and_keeps_the_reason_of_the_judgement() {
    struct UnsentOnly;
    impl Gate for UnsentOnly {
        fn bars(&self, kind: FaultKind) -> Option<GaveUp> {
            (kind != FaultKind::Unsent).then_some(GaveUp::NotRepeatable)
        }
    }
    let barred = |class: Class| {
        let judge = Judge::by_fault().unless(|_: &&str| false).classify(move |_: &u32| Some(class));
        match Judgement::<u32, &str>::judge(&Gated::new(judge, UnsentOnly), &Ok(1)) {
            Verdict::Failed { barred, .. } => barred,
            Verdict::Settled => unreachable!("every value is a failure"),
        }
    };
    assert_eq!(barred(Class::new(FaultKind::Unsent)), None);
    assert_eq!(barred(Class::new(FaultKind::Transient)), Some(GaveUp::NotRepeatable));
    assert_eq!(barred(Class::new(FaultKind::Unsent).barred(GaveUp::ToldNotTo)), Some(GaveUp::ToldNotTo));
    assert_eq!(barred(Class::new(FaultKind::Permanent)), None);
}

#[test]
fn an_error_that_is_no_fault_is_judged_by_its_first_known_cause() {
    #[derive(Debug)]
    struct Client(std::io::Error);
    impl fmt::Display for Client {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("password=hunter2")
        }
    }
    impl StdError for Client {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }
    let judge = Judge::by_fault().by_cause(FaultKind::Permanent);
    let refused: Result<u32, _> = Err(Client(std::io::ErrorKind::ConnectionRefused.into()));
    assert!(matches!(judge.judge(&refused), Verdict::Failed { again: true, kind: FaultKind::Unsent, .. }));
    let shown =
        crate::observe::text(&crate::observe::Describe(|f: &mut fmt::Formatter<'_>| judge.describe(&refused, f)));
    assert_eq!(shown, "error: io: connection refused");
    let limited: Result<u32, _> =
        Err(Client(std::io::Error::other(Rejected::RateLimited { retry_after: Duration::from_secs(2) })));
    assert!(matches!(
        judge.judge(&limited),
        Verdict::Failed { refused: true, retry_after: Some(hint), .. } if hint == Duration::from_secs(2)
    ));
}

/// Any link that ft knows may have it, not only a refusal of ours.
#[cfg(feature = "tonic")]
#[test]
fn a_hint_comes_from_any_known_cause() {
    let mut status = tonic::Status::unavailable("busy");
    status.metadata_mut().insert("grpc-retry-pushback-ms", "3000".parse().unwrap());
    let hint = crate::Fault::retry_after(&status);
    assert!(hint.is_some());
    let judge = Judge::by_fault().by_cause(FaultKind::Permanent);
    let busy: Result<u32, _> = Err(status);
    assert!(matches!(judge.judge(&busy), Verdict::Failed { retry_after, .. } if retry_after == hint));
}

#[test]
fn a_hint_comes_from_the_given_function() {
    let judge = Judge::by_fault().unless(|_: &&str| false).retry_after(|_: &&str| Some(Duration::from_secs(1)));
    let verdict = Judgement::<u32, &str>::judge(&judge, &Err("busy"));
    assert!(matches!(verdict, Verdict::Failed { retry_after: Some(hint), .. } if hint == Duration::from_secs(1)));
}
