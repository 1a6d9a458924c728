//! The 303 window and result URLs (C1).

use beacon_simulator::SimEndpoint;

use crate::site::{Site, ask, endpoint, exchange, named, send};

fn slow() -> SimEndpoint {
    SimEndpoint { window_s: 2.0, ..endpoint(5.0) }
}

#[tokio::test]
async fn a_call_that_outlives_the_window_is_told_a_result_url_until_its_answer_is_there() {
    let site = Site::with(vec![slow()]).await;
    let call = site.start("why?").await;
    site.advance(2.0);
    let location = call.await.unwrap().location();
    let expected = format!("http://{}/e/us-east~m/?__modal_function_call_id=fc-0", site.addr());
    assert_eq!(location, expected);

    let second = site.start_get(&location).await;
    site.advance(1.0);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!second.is_finished(), "the read is held for a window as well");
    site.advance(1.0);
    assert_eq!(second.await.unwrap().location(), location);

    let third = site.start_get(&location).await;
    site.advance(1.0);
    let answer = third.await.unwrap();

    assert_eq!((answer.status, &answer.json()["inference_time"]), (200, &5.0.into()));
    let total = site.total();
    assert_eq!((total.calls, total.executions, total.redirects, total.result_url_reads), (1, 1, 2, 2));
}

#[tokio::test]
async fn a_result_can_be_read_again() {
    let site = Site::with(vec![slow()]).await;
    let call = site.start("why?").await;
    site.advance(2.0);
    let location = call.await.unwrap().location();
    site.advance(3.0);
    site.until(|stats| stats.total.in_flight == 0).await;

    let (first, second) = (site.get(&location).await, site.get(&location).await);

    assert_eq!((first.status, &first.body), (200, &second.body));
    assert_eq!((site.total().executions, site.total().result_url_reads), (1, 2));
}

#[tokio::test]
async fn work_goes_on_when_the_client_hangs_up() {
    let site = Site::with(vec![slow()]).await;
    let stream = send(site.addr(), "POST", "/e/us-east~m/", &ask("why?").to_string()).await.unwrap();
    site.until(|stats| stats.total.running == 1).await;

    drop(stream);
    let next = site.start("next").await;
    site.advance(5.0);
    site.until(|stats| stats.total.executions == 2).await;

    assert_eq!(site.total().gpu_time.as_secs_f64(), 5.0, "the dropped call was worked on to its end");
    assert_eq!(next.await.unwrap().status, 303, "the next call waited for it");
}

#[tokio::test]
async fn what_modal_refuses_on_a_result_url_is_refused_with_its_words() {
    let site = Site::with(vec![slow(), named("eu-west/m", 0.0)]).await;
    let call = site.start("why?").await;
    site.advance(2.0);
    let location = call.await.unwrap().location();

    let unknown = site.get("/e/us-east~m/?__modal_function_call_id=fc-99").await;
    let elsewhere = site.get(&location.replace("us-east", "eu-west")).await;
    let path = location.replace(&format!("http://{}", site.addr()), "");
    let posted = exchange(site.addr(), "POST", &path, &ask("why?").to_string()).await.unwrap();
    let without_id = site.get("/e/us-east~m/").await;
    let no_function = site.post_to("/e/nobody/", &ask("why?")).await;

    assert_eq!((unknown.status, unknown.text().as_str()), (404, "modal-http: invalid function call"));
    assert_eq!((elsewhere.status, elsewhere.text().as_str()), (404, "modal-http: invalid function call"));
    assert_eq!((posted.status, posted.text().as_str()), (400, "modal-http: bad redirect method"));
    assert_eq!(without_id.status, 405);
    assert_eq!((no_function.status, no_function.text().as_str()), (404, "modal-http: invalid function call"));
    assert_eq!(site.total().calls, 1, "none of these is a call");
}
