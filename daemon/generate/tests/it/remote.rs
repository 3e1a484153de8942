//! Endpoints that are honest, slow, broken and hostile.

use std::cell::Cell;
use std::io::Write;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use greenlit_generate::{
    Completion, Constraint, Endpoint, EndpointError, Finish, Key, KeySource, Limits, Message,
    Model, ModelError, Protocol, Remote, Request, Role, Sampling, Standing, Usage,
};
use serde_json::json;

use crate::server::{Asked, STREAM, Server, event, head, piece, reply};

fn endpoint(server: &Server) -> Endpoint {
    let mut endpoint = Endpoint::new(Protocol::OpenAi, &server.url, "tiny");
    endpoint.backoff = Duration::from_millis(1);
    endpoint
}

fn ask(endpoint: Endpoint, constraint: &Constraint) -> (String, Result<Completion, ModelError>) {
    ask_until(&Remote::new(endpoint, Arc::default(), false).unwrap(), constraint, &|_| false)
}

fn ask_until(
    model: &Remote,
    constraint: &Constraint,
    stop: &dyn Fn(&str) -> bool,
) -> (String, Result<Completion, ModelError>) {
    let messages = [Message { role: Role::User, content: "mend it".into() }];
    let sampling = Sampling { temperature: 0.5, top_p: 0.9, max_tokens: 64, seed: 7 };
    let said = std::cell::RefCell::new(String::new());
    let request =
        Request { messages: &messages, constraint, sampling, stop: &|| stop(&said.borrow()) };
    let completion = model.generate(&request, &mut |text| {
        said.borrow_mut().push_str(text);
        ControlFlow::Continue(())
    });
    (said.into_inner(), completion)
}

/// What went wrong, and how often was asked.
fn failure(
    answers: impl Fn(usize, &Asked, &mut TcpStream) + Send + Sync + 'static,
) -> (EndpointError, usize) {
    let server = Server::new(answers);
    let mut endpoint = endpoint(&server);
    endpoint.patience = Duration::from_millis(300);
    let (_, result) = ask(endpoint, &Constraint::Free);
    let Err(ModelError::Unavailable { source, lasting, .. }) = result else {
        panic!("{result:?}");
    };
    let error = *source.downcast::<EndpointError>().unwrap();
    assert_eq!(lasting, error.is_lasting());
    (error, server.asked().len())
}

#[test]
fn a_reply_comes_in_pieces_with_what_it_took() {
    let server = Server::new(|_, _, stream| reply(stream, &["a", "b\n", "ç"]));
    let mut endpoint = endpoint(&server);
    endpoint.key = Some(KeySource::Known(Key("secret".into())));
    let (said, completion) = ask(endpoint, &Constraint::Free);
    assert_eq!(said, "ab\nç");
    let usage = Usage { prompt_tokens: 12, completion_tokens: 5, estimated: false };
    let completion = completion.unwrap();
    assert!(completion.first_token.is_some());
    assert_eq!((completion.usage, completion.finish), (usage, Finish::Stop));
    let asked = &server.asked()[0];
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!(asked.authorization.as_deref(), Some("Bearer secret"));
    assert_eq!(asked.body["model"], "tiny");
    assert_eq!(asked.body["messages"], json!([{"role": "user", "content": "mend it"}]));
    assert_eq!((&asked.body["max_tokens"], &asked.body["seed"]), (&json!(64), &json!(7)));
    assert_eq!(asked.body["stream"], true);
}

#[test]
fn a_server_that_does_not_stream_is_understood() {
    let server = Server::new(|_, _, stream| {
        head(stream, "200 OK", &["Content-Type: application/json"]);
        let whole =
            json!({"choices": [{"message": {"content": "all"}, "finish_reason": "length"}]});
        let _ = stream.write_all(whole.to_string().as_bytes());
    });
    let (said, completion) = ask(endpoint(&server), &Constraint::Free);
    assert_eq!(said, "all");
    let completion = completion.unwrap();
    assert_eq!(completion.finish, Finish::Length);
    assert!(completion.usage.estimated && completion.usage.completion_tokens > 0);
}

#[test]
fn members_that_an_endpoint_refuses_are_left_out_from_then_on() {
    let server = Server::new(|_, asked, stream| {
        let unknown = ["stream_options", "max_tokens"]
            .into_iter()
            .find(|name| asked.body.get(name).is_some());
        if let Some(unknown) = unknown {
            head(stream, "400 Bad Request", &["Content-Type: application/json"]);
            let _ = stream.write_all(
                format!("{{\"error\":{{\"message\":\"unknown {unknown}\"}}}}").as_bytes(),
            );
        } else if asked.body.get("response_format").is_some() {
            head(stream, "422 Unprocessable Entity", &[]);
            let _ = stream.write_all(b"no schemas here");
        } else {
            reply(stream, &["{}"]);
        }
    });
    let model = Remote::new(endpoint(&server), Arc::default(), false).unwrap();
    let schema = Constraint::JsonSchema("{\"type\":\"object\"}".into());
    for _ in 0..2 {
        let (said, completion) = ask_until(&model, &schema, &|_| false);
        completion.unwrap();
        assert_eq!(said, "{}");
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 6, "four refusals, then it is known");
    assert_eq!(
        asked[0].body["response_format"]["json_schema"]["schema"],
        json!({"type": "object"})
    );
    let last = &asked[5].body;
    assert!(last.get("response_format").is_none() && last.get("stream_options").is_none());
    assert_eq!(last["max_completion_tokens"], 64);
    assert_eq!(last["seed"], 7, "what nobody refused is still sent");
}

#[test]
fn a_schema_is_sent_in_an_older_form_to_a_server_that_fails_over_the_newer_one() {
    // As llama-cpp-python 0.3 has it.
    let server = Server::new(|_, asked, stream| {
        if asked.body["response_format"]["type"] == "json_schema" {
            head(stream, "500 Internal Server Error", &["Content-Type: application/json"]);
            let said = "{'loc': ('body', 'response_format', 'type'), 'msg': \"Input should be 'text' or 'json_object'\"}";
            let _ = write!(stream, "{}", json!({ "error": { "message": said } }));
        } else {
            reply(stream, &["{}"]);
        }
    });
    let model = Remote::new(endpoint(&server), Arc::default(), false).unwrap();
    let schema = Constraint::JsonSchema("{\"type\":\"object\"}".into());
    for _ in 0..2 {
        assert_eq!(ask_until(&model, &schema, &|_| false).0, "{}");
    }
    let asked = server.asked();
    let formats: Vec<_> = asked.iter().map(|asked| asked.body["response_format"].clone()).collect();
    let older = json!({ "type": "json_object", "schema": { "type": "object" } });
    assert_eq!((formats.len(), &formats[1], &formats[2]), (3, &older, &older));
}

#[test]
fn a_schema_is_sent_where_it_is_taken() {
    let server = Server::new(|_, _, stream| reply(stream, &["{}"]));
    ask(endpoint(&server), &Constraint::JsonSchema("{}".into())).1.unwrap();
    assert_eq!(server.asked()[0].body["response_format"]["type"], "json_schema");
}

#[test]
fn a_wrong_key_is_not_tried_again_and_never_shown() {
    let server = Server::new(|_, asked, stream| {
        head(stream, "401 Unauthorized", &[]);
        let _ = stream.write_all(asked.authorization.clone().unwrap_or_default().as_bytes());
    });
    let mut endpoint = endpoint(&server);
    endpoint.key = Some(KeySource::Known(Key("sk-very-secret".into())));
    assert!(!format!("{endpoint:?}").contains("very"));
    let error = ask(endpoint.clone(), &Constraint::Free).1.unwrap_err();
    assert_eq!(server.asked().len(), 1);
    let echo = Server::new(|_, asked, stream| {
        head(stream, "418 Teapot", &[]);
        let _ = stream.write_all(asked.authorization.clone().unwrap_or_default().as_bytes());
    });
    endpoint.url = echo.url.clone();
    let echoed = ask(endpoint, &Constraint::Free).1.unwrap_err();
    for error in [error, echoed] {
        let ModelError::Unavailable { source, lasting, .. } = error else { panic!() };
        assert!(lasting);
        assert!(!source.to_string().contains("very"), "{source}");
    }
}

#[test]
fn a_key_is_asked_for_when_the_endpoint_is_and_its_absence_is_lasting() {
    let server = Server::new(|_, _, stream| reply(stream, &["here"]));
    let asks = Arc::new(AtomicU32::new(0));
    let with = |answer: Result<&'static str, &'static str>| {
        let (mut endpoint, asks) = (endpoint(&server), asks.clone());
        let ask = move |_: &dyn Fn() -> bool| {
            asks.fetch_add(1, Ordering::Relaxed);
            answer.map(|key| Key(key.into())).map_err(str::to_owned)
        };
        endpoint.key = Some(KeySource::Asked(Arc::new(ask)));
        Remote::new(endpoint, Arc::default(), false).unwrap()
    };
    let (model, without) = (with(Ok("from-the-ring")), with(Err("the ring is locked")));
    assert_eq!(asks.load(Ordering::Relaxed), 0);
    assert_eq!(ask_until(&model, &Constraint::Free, &|_| false).0, "here");
    assert_eq!(server.asked()[0].authorization.as_deref(), Some("Bearer from-the-ring"));
    let error = ask_until(&without, &Constraint::Free, &|_| false).1.unwrap_err();
    let ModelError::Unavailable { source, lasting: true, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "the ring is locked");
    // Who does not want to wait any more is not told of a failure.
    let stopped = ask_until(&without, &Constraint::Free, &|_| true).1.unwrap();
    assert_eq!(stopped.finish, Finish::Cancelled);
    assert_eq!((server.asked().len(), asks.load(Ordering::Relaxed)), (1, 3));
}

#[test]
fn what_passes_is_tried_again() {
    let server = Server::new(|index, _, stream| match index {
        0 => head(stream, "503 Service Unavailable", &[]),
        1 => head(stream, "429 Too Many Requests", &["Retry-After: 0"]),
        _ => reply(stream, &["here"]),
    });
    let (said, completion) = ask(endpoint(&server), &Constraint::Free);
    completion.unwrap();
    assert_eq!((said.as_str(), server.asked().len()), ("here", 3));
}

#[test]
fn each_failure_is_named() {
    let (error, asked) = failure(|_, _, stream| head(stream, "500 Internal Server Error", &[]));
    assert!(matches!(error, EndpointError::Failing { status: 500, .. }), "{error}");
    assert_eq!(asked, 3);
    let (error, asked) =
        failure(|_, _, stream| head(stream, "429 Too Many Requests", &["Retry-After: 86400"]));
    assert!(matches!(error, EndpointError::Busy { after: Some(_) }), "{error}");
    assert_eq!(asked, 1, "nobody waits for a day");
    let (error, asked) =
        failure(|_, _, stream| head(stream, "302 Found", &["Location: http://192.0.2.1/"]));
    assert!(
        matches!(error, EndpointError::Refused { status: 302, .. }),
        "redirects lead elsewhere: {error}"
    );
    assert_eq!(asked, 1);
    let (error, _) = failure(|_, _, stream| {
        head(stream, "200 OK", &["Content-Type: text/html"]);
        let _ = stream.write_all(b"<html>");
    });
    assert!(matches!(&error, EndpointError::WrongType(kind) if kind == "text/html"), "{error}");
    let (error, asked) = failure(|_, _, stream| {
        head(stream, "200 OK", &[STREAM]);
        event(stream, &piece("half of"));
    });
    assert!(matches!(error, EndpointError::Cut), "{error}");
    assert_eq!(asked, 1, "what was handed over cannot be taken back");
    let (error, _) = failure(|_, _, stream| {
        head(stream, "200 OK", &[STREAM]);
        let _ = stream.write_all(b"data: \xff\xfe\n\n");
    });
    assert!(matches!(error, EndpointError::NotText), "{error}");
    let (error, _) = failure(|_, _, stream| {
        head(stream, "200 OK", &[STREAM]);
        let _ = stream.write_all(b"data: ");
        let _ = stream.write_all(&vec![b'x'; 10 << 20]);
    });
    assert!(matches!(error, EndpointError::LongLine), "{error}");
    let (error, _) = failure(|_, _, stream| {
        head(stream, "200 OK", &[STREAM]);
        let _ = stream.write_all(b"data: {\"choices\": 7}\n\n");
    });
    assert!(matches!(error, EndpointError::Malformed(_)), "{error}");
    let (error, _) = failure(|_, _, stream| {
        head(stream, "200 OK", &[STREAM]);
        event(stream, &json!({"error": {"message": "out of memory"}}));
    });
    assert!(error.to_string().contains("out of memory"), "{error}");
    let (error, _) = failure(|_, _, stream| {
        // Silence, until the client has gone.
        let _ = std::io::Read::read(stream, &mut [0; 1]);
    });
    assert!(matches!(error, EndpointError::Silent { .. }), "{error}");
    let (error, _) = failure(|_, _, stream| {
        head(stream, "200 OK", &[STREAM]);
        event(stream, &piece("then nothing"));
        let _ = std::io::Read::read(stream, &mut [0; 1]);
    });
    assert!(matches!(error, EndpointError::Silent { .. }), "{error}");
}

#[test]
fn an_endpoint_that_keeps_failing_is_not_asked_any_more() {
    let server = Server::new(|_, _, stream| head(stream, "500 Internal Server Error", &[]));
    let standing = Arc::new(Standing::default());
    let failure = || {
        let model = Remote::new(endpoint(&server), standing.clone(), false).unwrap();
        let result = ask_until(&model, &Constraint::Free, &|_| false).1;
        let Err(ModelError::Unavailable { source, lasting, .. }) = result else { panic!() };
        (*source.downcast::<EndpointError>().unwrap(), lasting)
    };
    assert!(matches!(failure(), (EndpointError::Failing { .. }, false)));
    // Whoever asks next, with a client of its own.
    for _ in 0..3 {
        let (error, lasting) = failure();
        assert!(lasting, "nothing else is asked for in this job");
        let said = error.to_string();
        assert!(
            said.starts_with("the endpoint failed 5 times in a row and is left alone"),
            "{said}"
        );
    }
    assert_eq!(server.asked().len(), 5);
}

#[test]
fn no_more_is_asked_than_a_minute_allows_and_waiting_for_it_can_be_stopped() {
    let server = Server::new(|_, _, stream| reply(stream, &["here"]));
    let standing = Arc::new(Standing::new(Limits {
        per_minute: std::num::NonZeroU32::new(1),
        ..Limits::default()
    }));
    let model = Remote::new(endpoint(&server), standing, false).unwrap();
    assert_eq!(ask_until(&model, &Constraint::Free, &|_| false).0, "here");
    let asked = Cell::new(0);
    let (said, completion) = ask_until(&model, &Constraint::Free, &|_| {
        asked.set(asked.get() + 1);
        asked.get() > 2
    });
    assert_eq!((said.as_str(), completion.unwrap().finish), ("", Finish::Cancelled));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn nobody_there_is_said() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let mut endpoint = Endpoint::new(Protocol::OpenAi, &url, "tiny");
    endpoint.backoff = Duration::from_millis(1);
    let Err(ModelError::Unavailable { source, lasting: false, .. }) =
        ask(endpoint, &Constraint::Free).1
    else {
        panic!()
    };
    assert_eq!(source.to_string(), "the endpoint cannot be reached");
}

#[test]
fn stopping_takes_effect_at_once_also_in_the_middle_of_silence() {
    let server = Server::new(|_, _, stream| {
        head(stream, "200 OK", &[STREAM]);
        event(stream, &piece("one"));
        let _ = std::io::Read::read(stream, &mut [0; 1]);
    });
    // The patience of a minute would outlast the test.
    let model = Remote::new(endpoint(&server), Arc::default(), false).unwrap();
    let asked = Cell::new(0);
    let (said, completion) = ask_until(&model, &Constraint::Free, &|said| {
        asked.set(asked.get() + usize::from(!said.is_empty()));
        asked.get() > 2
    });
    assert_eq!(said, "one");
    assert_eq!(completion.unwrap().finish, Finish::Cancelled);
}

#[test]
fn offline_only_this_machine_is_asked() {
    let far = Endpoint::new(Protocol::OpenAi, "https://models.example.com/v1", "big");
    assert!(matches!(
        Remote::new(far.clone(), Arc::default(), true),
        Err(EndpointError::Network(_))
    ));
    assert!(Remote::new(far, Arc::default(), false).is_ok());
    let server = Server::new(|_, _, stream| reply(stream, &["near"]));
    let model = Remote::new(endpoint(&server), Arc::default(), true).unwrap();
    assert_eq!(ask_until(&model, &Constraint::Free, &|_| false).0, "near");
}

#[test]
fn a_key_is_not_sent_in_clear_and_an_address_has_to_be_one() {
    let mut far = Endpoint::new(Protocol::OpenAi, "http://models.example.com/v1", "big");
    assert!(Remote::new(far.clone(), Arc::default(), false).is_ok());
    far.key = Some(KeySource::Known(Key("k".into())));
    assert!(matches!(Remote::new(far, Arc::default(), false), Err(EndpointError::KeyInClear(_))));
    for url in ["models.example.com", "ftp://x/v1", "http://", ""] {
        let new = Remote::new(Endpoint::new(Protocol::OpenAi, url, "m"), Arc::default(), false);
        assert!(matches!(new, Err(EndpointError::Address(_))), "{url}");
    }
}

#[test]
fn tgi_is_spoken_to_in_its_own_words() {
    let server = Server::new(|_, asked, stream| {
        if asked.body["parameters"].get("grammar").is_some() {
            head(stream, "422 Unprocessable Entity", &["Content-Type: application/json"]);
            let _ = stream.write_all(b"{\"error\":\"grammars are disabled\"}");
            return;
        }
        head(stream, "200 OK", &[STREAM]);
        event(stream, &json!({"token": {"text": "a", "special": false}, "generated_text": null}));
        event(stream, &json!({"token": {"text": "b", "special": false}, "generated_text": null}));
        let details = json!({"finish_reason": "eos_token", "generated_tokens": 3});
        event(
            stream,
            &json!({"token": {"text": "</s>", "special": true}, "generated_text": "ab", "details": details}),
        );
    });
    let url = server.url.trim_end_matches("/v1").to_owned();
    let mut endpoint = Endpoint::new(Protocol::Tgi, &url, "tiny");
    endpoint.backoff = Duration::from_millis(1);
    let (said, completion) = ask(endpoint, &Constraint::JsonSchema("{}".into()));
    assert_eq!(said, "ab");
    let completion = completion.unwrap();
    assert_eq!(completion.finish, Finish::Stop);
    assert_eq!(completion.usage.completion_tokens, 3);
    assert!(completion.usage.estimated && completion.usage.prompt_tokens > 0);
    let asked = server.asked();
    assert_eq!(asked.len(), 2, "it is asked without a grammar then");
    assert_eq!(asked[1].path, "/generate_stream");
    assert_eq!(asked[1].body["inputs"], "mend it");
    assert_eq!(asked[1].body["parameters"]["max_new_tokens"], 64);
}
