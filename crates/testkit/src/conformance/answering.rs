//! Answers by idempotency key (A5).

use std::time::Duration;

use beacon_domain::{IdempotencyAsk, IdempotencyKey, Idempotent, KeptAnswer, Operations};
use beacon_spec::Sha256Digest;

use super::Scene;

fn key(owner: &str) -> IdempotencyKey {
    IdempotencyKey { owner: owner.to_owned(), key: "one".to_owned() }
}

fn answer(status: u16) -> KeptAnswer {
    KeptAnswer { status, body: vec![0, 1, 255] }
}

fn ask<S>(scene: &Scene<S>, owner: &str, body: &str) -> IdempotencyAsk {
    IdempotencyAsk {
        key: key(owner),
        request: Sha256Digest::of(body.as_bytes()),
        keep: Duration::from_secs(3600),
        patience: Duration::from_secs(60),
        now: scene.now(),
    }
}

async fn begin<S: Operations>(scene: &Scene<S>, owner: &str, body: &str) -> Idempotent {
    scene.store.begin(ask(scene, owner, body)).await.unwrap()
}

/// Who only looks is told what is known, and begins nothing.
pub async fn a_look_at_a_request_begins_nothing<S: Operations>(scene: Scene<S>) {
    let look = async |body: &str| scene.store.known(ask(&scene, "a", body)).await.unwrap();

    let before = (look("body").await, look("body").await);
    let first = begin(&scene, "a", "body").await;
    let meanwhile = (look("body").await, look("other body").await);
    assert!(scene.store.finish(key("a"), 1, answer(202)).await.unwrap());
    let later = look("body").await;
    scene.advance_s(3601);

    assert_eq!((before, first), ((None, None), Idempotent::First { turn: 1 }));
    assert_eq!(meanwhile, (Some(Idempotent::Running), Some(Idempotent::OtherRequest)));
    assert_eq!((later, look("body").await), (Some(Idempotent::Done(answer(202))), None));
}

/// The first request does it; those that come meanwhile wait, those that come later get its answer.
pub async fn a_repeated_request_gets_the_answer_of_the_first<S: Operations>(scene: Scene<S>) {
    let first = begin(&scene, "a", "body").await;
    let meanwhile = begin(&scene, "a", "body").await;
    for (given, taken) in [(202, true), (202, true), (500, false)] {
        assert_eq!(scene.store.finish(key("a"), 1, answer(given)).await.unwrap(), taken, "{given}");
    }
    let later = begin(&scene, "a", "body").await;

    assert_eq!((first, meanwhile), (Idempotent::First { turn: 1 }, Idempotent::Running));
    assert_eq!(later, Idempotent::Done(answer(202)));
    let other = begin(&scene, "b", "other body").await;
    assert_eq!(other, Idempotent::First { turn: 1 }, "keys of one owner mean nothing to another");
}

/// A key stands for one request.
pub async fn another_request_under_a_key_is_told_apart<S: Operations>(scene: Scene<S>) {
    begin(&scene, "a", "body").await;
    let while_it_runs = begin(&scene, "a", "other body").await;
    scene.store.finish(key("a"), 1, answer(202)).await.unwrap();
    let when_it_is_done = begin(&scene, "a", "other body").await;

    assert_eq!([while_it_runs, when_it_is_done], [Idempotent::OtherRequest, Idempotent::OtherRequest]);
}

/// Whoever takes over from a process that seems dead has the next turn, and the first one's answer is not taken any more.
pub async fn a_request_whose_process_is_gone_is_taken_over<S: Operations>(scene: Scene<S>) {
    begin(&scene, "a", "body").await;
    scene.advance_s(61);

    let second = begin(&scene, "a", "body").await;
    let of_the_first = scene.store.finish(key("a"), 1, answer(500)).await.unwrap();
    scene.store.give_up(key("a"), 1).await.unwrap();
    let of_the_second = scene.store.finish(key("a"), 2, answer(202)).await.unwrap();

    assert_eq!((second, of_the_first, of_the_second), (Idempotent::First { turn: 2 }, false, true));
    assert_eq!(begin(&scene, "a", "body").await, Idempotent::Done(answer(202)));
}

/// A request that changed nothing may be sent again, with another body too.
pub async fn a_request_that_was_given_up_may_come_again<S: Operations>(scene: Scene<S>) {
    begin(&scene, "a", "body").await;

    scene.store.give_up(key("a"), 1).await.unwrap();

    assert_eq!(begin(&scene, "a", "corrected body").await, Idempotent::First { turn: 1 });
}

/// Answers are kept for a time, and what is older goes.
pub async fn an_old_answer_is_forgotten<S: Operations>(scene: Scene<S>) {
    for owner in ["a", "b"] {
        begin(&scene, owner, "body").await;
        scene.store.finish(key(owner), 1, answer(202)).await.unwrap();
    }
    scene.advance_s(3601);

    let again = begin(&scene, "a", "other body").await;
    let forgotten = scene.store.forget_answers(scene.now(), 9).await.unwrap();

    assert!(matches!(again, Idempotent::First { .. }), "{again:?}");
    assert!(forgotten <= 1, "the answer of b, unless it went when a began");
    assert_eq!(begin(&scene, "b", "body").await, Idempotent::First { turn: 1 });
    assert_eq!(begin(&scene, "a", "other body").await, Idempotent::Running);
}
