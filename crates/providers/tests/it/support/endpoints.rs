//! Configurations as an operator writes them, and the backends made of them.

use std::sync::Arc;

use beacon_domain::{Backend, Clock};
use beacon_providers::{EndpointsFile, build};
use serde_json::{Value, json};

/// Test-only credentials, in the environment variables `KEY`, `SECRET` and `TOKEN`.
pub(crate) const KEY: &str = "wk-test-only-key";
pub(crate) const SECRET: &str = "ws-test-only-secret";
pub(crate) const TOKEN: &str = "sk-test-only-token";

pub(crate) fn environment(name: &str) -> Option<String> {
    let value = match name {
        "KEY" => KEY,
        "SECRET" => SECRET,
        "TOKEN" => TOKEN,
        _ => return None,
    };
    Some(value.to_owned())
}

/// A web function with a proxy token.
pub(crate) fn modal(url: &str) -> String {
    format!(
        "[[endpoint]]\nprovider = \"modal-web\"\nmodel = \"llama3.2-1b\"\nregion = \"ASIA\"\nlimit = 64\n\
         inference_url = \"{url}\"\nauth = {{ modal_key_env = \"KEY\", modal_secret_env = \"SECRET\" }}\n"
    )
}

/// A chat completions server with a bearer token.
pub(crate) fn openai(url: &str) -> String {
    format!(
        "[[endpoint]]\nprovider = \"openai\"\nmodel = \"llama3.2-1b\"\nregion = \"ASIA\"\nlimit = 64\n\
         upstream_model = \"llama3.2:1b\"\ninference_url = \"{url}\"\nauth = {{ bearer_env = \"TOKEN\" }}\n"
    )
}

/// The only endpoint of this configuration.
pub(crate) fn backend(text: &str, clock: impl Clock + 'static) -> Arc<dyn Backend> {
    let file: EndpointsFile = toml::from_str(text).unwrap();
    build(&file, &environment, Arc::new(clock)).unwrap().pop().unwrap()
}

/// A good answer of a web function.
pub(crate) fn modal_answer() -> Value {
    json!({
        "success": true, "response": "yes", "model": "llama3.2-1b", "region": "asia-southeast",
        "inference_time": 1.5, "tokens_generated": 3, "gpu_memory_used": 0,
        "receipt": {
            "schema_version": "v0.1.0",
            "execution_details": { "region": "asia-southeast", "model": "llama3.2-1b" },
        },
    })
}

/// A good chat completion.
pub(crate) fn openai_answer() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": "llama3.2:1b", "system_fingerprint": "fp_1",
        "choices": [{
            "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "yes" },
        }],
        "usage": { "prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14 },
    })
}
