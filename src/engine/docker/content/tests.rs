//! A daemon's calls, over a connection as it has one, and what is wrong with some of them.

use tonic::Code;
use tonic::client::Grpc as Client;
use tonic::transport::{Channel, Endpoint, Server};

use super::*;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

/// A client of a server for `folder-0`.
async fn connect(layout: Layout) -> Client<Channel> {
    let id = "local:folder-0".to_owned();
    let server = ContentServer::new([(id, Arc::new(layout))]);
    let (listener, address) = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    };
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let once = futures_util::stream::iter([Ok::<_, io::Error>(stream)]);
        let pending = futures_util::stream::pending();
        let router = Server::builder().add_service(server);
        let streams = futures_util::StreamExt::chain(once, pending);
        router.serve_with_incoming(streams).await.unwrap();
    });
    let channel = Endpoint::try_from(format!("http://{address}")).unwrap();
    Client::new(channel.connect().await.unwrap())
}

fn about<T>(message: T, folder: &str) -> Request<T> {
    let mut request = Request::new(message);
    let id = format!("local:{folder}").parse().unwrap();
    request.metadata_mut().insert(STORE, id);
    request
}

async fn ask<Q, A>(
    client: &mut Client<Channel>,
    path: &'static str,
    ask: Request<Q>,
) -> Result<A, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(path);
    let answer = client.unary(ask, path, ProstCodec::default()).await?;
    Ok(answer.into_inner())
}

/// The answers to one call that writes; the last may be an error.
async fn write(
    client: &mut Client<Channel>,
    requests: Vec<WriteRequest>,
) -> Vec<Result<WriteAnswer, Status>> {
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(WRITE);
    let requests = about(futures_util::stream::iter(requests), "folder-0");
    let answer = client
        .streaming(requests, path, ProstCodec::default())
        .await;
    let mut answers: Streaming<WriteAnswer> = answer.unwrap().into_inner();
    let mut all = Vec::new();
    loop {
        match answers.message().await {
            Ok(Some(answer)) => all.push(Ok(answer)),
            Ok(None) => return all,
            Err(status) => {
                all.push(Err(status));
                return all;
            }
        }
    }
}

async fn read(
    client: &mut Client<Channel>,
    digest: &str,
    offset: i64,
    size: i64,
) -> Result<Vec<u8>, Status> {
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(READ);
    let request = ReadRequest {
        digest: digest.to_owned(),
        offset,
        size,
    };
    let answer = client
        .server_streaming(about(request, "folder-0"), path, ProstCodec::default())
        .await?;
    let mut parts: Streaming<Part> = answer.into_inner();
    let mut bytes = Vec::new();
    while let Some(part) = parts.message().await? {
        assert_eq!(part.offset, offset + i64::try_from(bytes.len()).unwrap());
        bytes.extend(part.data);
    }
    Ok(bytes)
}

fn request(action: Action, offset: i64, data: &[u8]) -> WriteRequest {
    WriteRequest {
        action: action.into(),
        reference: "blob".to_owned(),
        offset,
        data: data.to_vec(),
        ..WriteRequest::default()
    }
}

fn name(bytes: &[u8]) -> String {
    format!(
        "sha256:{}",
        hex::encode(crate::hash::of_reader(bytes).unwrap())
    )
}

fn code<T: std::fmt::Debug>(answer: Option<&Result<T, Status>>) -> Code {
    answer.unwrap().as_ref().unwrap_err().code()
}

#[test]
fn a_blob_is_written_in_several_calls_and_read_back_in_parts() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let mut client = connect(Layout::make(home.path()).unwrap()).await;
        let bytes: Vec<u8> = (0..3_000_000_u32)
            .map(|number| number.to_le_bytes()[1])
            .collect();
        let (first, second) = bytes.split_at(1_000_000);
        let answers = write(
            &mut client,
            vec![
                request(Action::Stat, 0, b""),
                request(Action::Write, 0, first),
            ],
        )
        .await;
        assert_eq!(answers.last().unwrap().as_ref().unwrap().offset, 1_000_000);
        // The connection of the first call is gone; another one goes on.
        let by_name = || ByReference {
            reference: "blob".to_owned(),
        };
        let status: StatusAnswer = ask(&mut client, STATUS, about(by_name(), "folder-0"))
            .await
            .unwrap();
        assert_eq!(status.status.unwrap().offset, 1_000_000);
        let commit = WriteRequest {
            total: 3_000_000,
            expected: name(&bytes),
            ..request(Action::Commit, 1_000_000, second)
        };
        let answers = write(
            &mut client,
            vec![request(Action::Stat, 0, b""), commit.clone()],
        )
        .await;
        assert_eq!(answers[0].as_ref().unwrap().offset, 1_000_000);
        assert_eq!(answers[1].as_ref().unwrap().digest, name(&bytes));
        let by_digest = ByDigest {
            digest: name(&bytes),
        };
        let info: InfoAnswer = ask(&mut client, INFO, about(by_digest, "folder-0"))
            .await
            .unwrap();
        assert_eq!(info.info.unwrap().size, 3_000_000);
        assert_eq!(read(&mut client, &name(&bytes), 0, 0).await.unwrap(), bytes);
        let part = read(&mut client, &name(&bytes), 2_999_990, 100)
            .await
            .unwrap();
        assert_eq!(part, bytes[2_999_990..]);
        let beyond = read(&mut client, &name(&bytes), 3_000_001, 0).await;
        assert_eq!(beyond.unwrap_err().code(), Code::OutOfRange);
        // What is there is not taken again, and nothing is left of it.
        let again = write(&mut client, vec![commit]).await;
        assert_eq!(code(again.last()), Code::AlreadyExists);
        let status =
            ask::<_, StatusAnswer>(&mut client, STATUS, about(by_name(), "folder-0")).await;
        assert_eq!(status.unwrap_err().code(), Code::NotFound);
    });
}

#[test]
fn a_blob_that_is_not_what_it_should_be_is_refused() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let mut client = connect(Layout::make(home.path()).unwrap()).await;
        let commit = |total, expected: &str| WriteRequest {
            total,
            expected: expected.to_owned(),
            ..request(Action::Commit, 0, b"some")
        };
        for (wrong, expected) in [
            (commit(4, &name(b"other")), Code::FailedPrecondition),
            (commit(5, &name(b"some")), Code::FailedPrecondition),
            (commit(3, &name(b"some")), Code::OutOfRange),
            (commit(4, "sha256:../../etc/passwd"), Code::InvalidArgument),
            (request(Action::Write, 7, b"some"), Code::OutOfRange),
            (WriteRequest::default(), Code::InvalidArgument),
        ] {
            let answers = write(&mut client, vec![wrong.clone()]).await;
            assert_eq!(code(answers.last()), expected, "{wrong:?}");
        }
        assert_eq!(
            std::fs::read_dir(home.path().join("blobs/sha256"))
                .unwrap()
                .count(),
            0
        );
        // From the beginning again, it is taken.
        let answers = write(
            &mut client,
            vec![
                request(Action::Write, 0, b"wrong"),
                commit(4, &name(b"some")),
            ],
        )
        .await;
        assert_eq!(
            answers.last().unwrap().as_ref().unwrap().digest,
            name(b"some")
        );
    });
}

#[test]
fn a_write_that_is_given_up_leaves_nothing() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let mut client = connect(Layout::make(home.path()).unwrap()).await;
        write(&mut client, vec![request(Action::Write, 0, b"half")]).await;
        let left = || {
            let staging = std::fs::read_dir(home.path().join("ingest"))
                .unwrap()
                .next();
            std::fs::read_dir(staging.unwrap().unwrap().path())
                .unwrap()
                .count()
        };
        assert_eq!(left(), 1);
        let given_up = || ByReference {
            reference: "blob".to_owned(),
        };
        ask::<_, ()>(&mut client, ABORT, about(given_up(), "folder-0"))
            .await
            .unwrap();
        assert_eq!(left(), 0);
        let again = ask::<_, ()>(&mut client, ABORT, about(given_up(), "folder-0")).await;
        assert_eq!(again.unwrap_err().code(), Code::NotFound);
        let answers = write(&mut client, vec![request(Action::Stat, 0, b"")]).await;
        assert_eq!(answers[0].as_ref().unwrap().offset, 0);
    });
}

#[test]
fn only_blobs_of_the_folders_are_reached() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("outside"), "x").unwrap();
        let inside = home.path().join("inside");
        drop(Layout::make(&inside).unwrap());
        let mut client = connect(Layout::open(&inside).unwrap()).await;
        for (digest, expected) in [
            ("sha256:../../../outside".to_owned(), Code::InvalidArgument),
            ("../index.json".to_owned(), Code::InvalidArgument),
            (String::new(), Code::InvalidArgument),
            (name(b"x"), Code::NotFound),
        ] {
            let refused = read(&mut client, &digest, 0, 0).await.unwrap_err();
            assert_eq!(refused.code(), expected, "{digest}");
        }
        let by_digest = || ByDigest { digest: name(b"x") };
        let other = ask::<_, InfoAnswer>(&mut client, INFO, about(by_digest(), "folder-1")).await;
        assert_eq!(other.unwrap_err().code(), Code::NotFound);
        let without = ask::<_, InfoAnswer>(&mut client, INFO, Request::new(by_digest())).await;
        assert_eq!(without.unwrap_err().code(), Code::InvalidArgument);
        // It is only read.
        let answers = write(&mut client, vec![request(Action::Write, 0, b"x")]).await;
        assert_eq!(code(answers.last()), Code::FailedPrecondition);
        let path = "/containerd.services.content.v1.Content/Delete";
        let refused = ask::<_, ()>(&mut client, path, about(by_digest(), "folder-0")).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unimplemented);
    });
}
