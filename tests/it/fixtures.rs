//! Inputs that nobody here wrote: public files with byte order marks, newline
//! terminators, wrong counts and broken envelopes go through the front of the
//! road. Whatever they are, they commit, and nothing stops.
//!
//! The files are not part of the project; where they are absent the test says so.

use std::path::PathBuf;

use portreeve_pipeline::AcceptError;

use crate::support::{TestHost, say, tree};

pub(crate) fn fixtures(folder: &str) -> Vec<PathBuf> {
    let Some(root) = tree().root().parent().map(|parent| parent.join("shared/fixtures").join(folder)) else {
        return Vec::new();
    };
    let mut waiting = vec![root];
    let mut files = Vec::new();
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() { waiting.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn files_from_the_wild_commit_whatever_is_wrong_with_them() {
    let host = TestHost::demo().await;
    let (edi, shop) = (fixtures("x12"), fixtures("adobe-commerce"));
    say(&format!("read {} X12 files and {} files of Adobe Commerce", edi.len(), shop.len()));
    if edi.is_empty() {
        say("SKIPPED: the public fixtures are not beside the checkout");
        return;
    }
    let (mut accepted, mut conflicts) = (0, 0);
    for (path, is_edi) in edi.iter().map(|path| (path, true)).chain(shop.iter().map(|path| (path, false))) {
        let body = std::fs::read(path).unwrap();
        let result = if is_edi { host.send_edi(&body).await } else { host.send_shop(&body).await };
        match result {
            Ok(answer) => {
                assert!((200..500).contains(&answer.reply.status), "{}: {}", path.display(), answer.reply.status);
                accepted += 1;
            }
            // Several public files share their control numbers.
            Err(AcceptError::Conflict { .. }) => conflicts += 1,
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    host.decide_all().await;
    host.deliver_all().await;
    let summary = host.summary().await;
    say(&format!("{accepted} accepted, {conflicts} refused as conflicts: {summary:?}"));
    assert_eq!((summary.undecided, summary.pending, summary.unparsed_inputs), (0, 0, 0));
    let orders: u64 = summary.orders.iter().map(|(_, count)| count).sum();
    assert!(orders >= 4, "{orders} orders were read");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_repeats_its_interchange_is_one_order_and_two_equal_answers() {
    let Some(path) = fixtures("x12/850").into_iter().find(|path| path.ends_with("node-x12-850_fat.edi")) else {
        say("SKIPPED: the public fixtures are not beside the checkout");
        return;
    };
    let host = TestHost::demo().await;
    let accepted = host.send_edi(&std::fs::read(path).unwrap()).await.unwrap();
    let reply = String::from_utf8(accepted.reply.body).unwrap();
    let (first, second) = reply.split_at(reply.len() / 2);
    assert_eq!((first, first.matches("ISA*").count()), (second, 1));
    host.decide_all().await;
    let summary = host.summary().await;
    assert_eq!((summary.duplicates, host.orders().await.len()), (0, 1), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bytes_get_an_answer_and_are_kept() {
    let host = TestHost::demo().await;
    let deep = "[".repeat(100_000);
    let inputs: [&[u8]; 7] =
        [b"", b"\0\0\0\0", b"ISA", b"ISA*", deep.as_bytes(), b"{\"increment_id\": 1e999999999}", &[0xff; 4096]];
    for body in inputs {
        for result in [host.send_edi(body).await, host.send_shop(body).await] {
            let answer = result.unwrap();
            assert!((200..500).contains(&answer.reply.status), "{}", answer.reply.status);
        }
    }
    host.decide_all().await;
    let summary = host.summary().await;
    assert_eq!(summary.inputs, 14);
    assert_eq!(summary.undecided, 0);
    host.verify().await.unwrap();
}
