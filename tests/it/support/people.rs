//! People of the tests: `root`, the first account of a host, makes the others. All of them
//! have one password.

use portreeve_model::PersonName;
use portreeve_pipeline::people::NewAccount;
use portreeve_pipeline::{Pipeline, SignedIn};

/// What accounts of the tests sign in with.
pub(crate) const PASSWORD: &str = "the tests of a whole morning";

/// A person with these roles, who has an account from now on and is signed in.
pub(crate) async fn acts_as(pipeline: &Pipeline, name: &str, roles: &[&str]) -> SignedIn {
    if !has_account(pipeline, name).await {
        add(pipeline, name, roles).await;
    }
    signed_in(pipeline, name).await
}

/// A new key of an account with these roles, which is made where there is none.
pub(crate) async fn key_of(pipeline: &Pipeline, name: &str, roles: &[&str]) -> String {
    if !has_account(pipeline, name).await {
        add(pipeline, name, roles).await;
    }
    let root = root(pipeline).await;
    pipeline.make_key(&root, name, "of the tests", None).await.unwrap().reveal().to_owned()
}

/// Makes an account.
pub(crate) async fn add(pipeline: &Pipeline, name: &str, roles: &[&str]) {
    let root = root(pipeline).await;
    pipeline.add_person(&root, account(name, roles)).await.unwrap();
}

/// An account that is to be made.
pub(crate) fn account(name: &str, roles: &[&str]) -> NewAccount {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    NewAccount { name: name.to_owned(), email: None, password: Some(PASSWORD.to_owned()), roles }
}

/// The first account, which administers and nothing else.
pub(crate) async fn root(pipeline: &Pipeline) -> SignedIn {
    if pipeline.store.people(None, 1).await.unwrap().is_empty() {
        pipeline.add_first_person("the-tests", account("root", &["administrator"])).await.unwrap();
    }
    signed_in(pipeline, "root").await
}

/// Somebody who has an account, signed in with its password.
pub(crate) async fn signed_in(pipeline: &Pipeline, name: &str) -> SignedIn {
    let session = pipeline.sign_in(name, PASSWORD).await.unwrap();
    pipeline.authenticate(session.token.reveal()).await.unwrap()
}

async fn has_account(pipeline: &Pipeline, name: &str) -> bool {
    pipeline.store.person(&PersonName::parse(name).unwrap()).await.unwrap().is_some()
}
