//! What BuildKit's errors hold beside their text: the step that failed, and the code of its command.

use bollard_buildkit_proto::google::rpc;
use prost::Message as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// BuildKit's names of what it puts into an error, whose values are JSON (`solver/errdefs`, `frontend/gateway/pb`).
const VERTEX: &str = "github.com/moby/buildkit/errdefs.Vertex+json";
const EXIT: &str = "github.com/moby/buildkit/gatewayapi.ExitMessage+json";

/// What an error is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Details {
    /// The digest of the step that failed; none where no step did, as with a push.
    pub vertex: Option<String>,
    /// The code that the step's command ended with.
    pub code: Option<i32>,
}

#[derive(Deserialize)]
struct Vertex {
    digest: String,
}

#[derive(Deserialize)]
struct Exit {
    #[serde(rename = "Code", alias = "code")]
    code: u32,
}

impl Details {
    /// Reads what came with a status; an old daemon says nothing.
    pub(super) fn of(status: &tonic::Status) -> Self {
        let said = rpc::Status::decode(status.details()).unwrap_or_default();
        Self {
            vertex: find(&said, VERTEX).map(|vertex: Vertex| vertex.digest),
            code: find(&said, EXIT).and_then(|exit: Exit| i32::try_from(exit.code).ok()),
        }
    }
}

fn find<T: DeserializeOwned>(said: &rpc::Status, kind: &str) -> Option<T> {
    let mut of_kind = said.details.iter().filter(|any| any.type_url == kind);
    of_kind.find_map(|any| serde_json::from_slice(&any.value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard_buildkit_proto::google::protobuf::Any;

    #[test]
    fn the_step_and_the_code_are_read_and_all_else_is_let_be() {
        let any = |kind: &str, value: &str| Any {
            type_url: kind.to_owned(),
            value: value.into(),
        };
        let said = rpc::Status {
            details: vec![
                any("github.com/moby/buildkit/stack.Stack+json", "{}"),
                any(EXIT, r#"{"Code":137}"#),
                any(VERTEX, r#"{"digest":"sha256:1"}"#),
            ],
            ..rpc::Status::default()
        };
        let bytes = said.encode_to_vec().into();
        let status = tonic::Status::with_details(tonic::Code::Unknown, "no", bytes);
        let details = Details::of(&status);
        assert_eq!(details.vertex.as_deref(), Some("sha256:1"));
        assert_eq!(details.code, Some(137));
        let bare = tonic::Status::unknown("no");
        assert_eq!(Details::of(&bare), Details::default());
    }
}
