//! No attack: a source that a test writes. The row of the table `script` whose key is the cursor,
//! or `start` where there is none, says in `says` what is new behind it:
//!
//! ```json
//! {"documents":[{"key":"1","body":"…"}],"problems":["code"],"cursor":"1","remember":"word"}
//! {"fails":"retry"}      retry after 90 s, tomorrow, permanent, invalid, or a trap
//! ```
//!
//! A cursor without a row has nothing behind it.

use portreeve_sdk::connector::*;
use serde::Deserialize;

struct ScriptedPoll;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Says {
    documents: Vec<Told>,
    problems: Vec<String>,
    cursor: Option<String>,
    remember: Option<String>,
    fails: Option<String>,
}

#[derive(Deserialize)]
struct Told {
    key: String,
    body: String,
}

impl Connector for ScriptedPoll {
    fn receive(_: Inbound) -> Result<Received, Failure> {
        Err(Failure::permanent("it is polled"))
    }

    fn poll(request: PollRequest) -> Result<Polled, Failure> {
        let cursor = request.cursor.map(|cursor| String::from_utf8(cursor).unwrap());
        let row = lookup("script", cursor.as_deref().unwrap_or("start"))?;
        let says: Says = row.map_or_else(Says::default, |row| serde_json::from_str(row.text("says").unwrap()).unwrap());
        match says.fails.as_deref() {
            Some("retry") => return Err(Failure::Retry(90_000)),
            Some("tomorrow") => return Err(Failure::Retry(86_400_000)),
            Some("permanent") => return Err(Failure::permanent("the script says so")),
            Some("invalid") => return Err(Failure::invalid(Problem::new("script", "it says so", ""))),
            Some(_) => panic!("the script says so"),
            None => {}
        }
        let mut documents: Vec<Document> = says.documents.into_iter().map(document).collect();
        if let Some(word) = says.remember {
            // What it remembered last is told in the key of a document.
            let last = kv::get("word")?.map(|word| String::from_utf8(word).unwrap()).unwrap_or_default();
            documents.iter_mut().for_each(|document| document.key.push_str(&last));
            kv::set("word", word.as_bytes())?;
        }
        let problems = says.problems.into_iter().map(|code| Problem::new(code, "the script says so", "items[0]"));
        Ok(Polled { documents, problems: problems.collect(), cursor: says.cursor.map(String::into_bytes) })
    }
}

fn document(told: Told) -> Document {
    Document {
        key: told.key,
        partner: String::new(),
        kind: "cloudevents/event".to_owned(),
        position: Position { offset_bytes: None, segment: None, path: String::new() },
        envelope: None,
        body: told.body.into_bytes(),
    }
}

portreeve_sdk::connector!(ScriptedPoll);
