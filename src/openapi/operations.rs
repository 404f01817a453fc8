//! Every operation: one for each route and method of `http/router`.

use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Parameter};
use utoipa::openapi::{Response, ResponsesBuilder, SecurityRequirement};

use super::answers::{self, Wrong};
use super::{events as posted, parameters};
use crate::events::Answer;
use crate::feed::{Explanation, FeedPage};
use crate::http::feed::Invalidated;
use crate::suggest::SuggestedUsers;
use crate::trending::TrendingPage;

/// An operation and where it stands.
pub(super) struct Described {
    /// As the router names it.
    pub(super) path: &'static str,
    pub(super) method: HttpMethod,
    pub(super) operation: Operation,
}

/// The whole list.
pub(super) fn all() -> Vec<Described> {
    vec![feed(), explain(), invalidate(), trending(), suggested(), events(), document()]
}

/// What an operation is.
struct Plan<'a> {
    id: &'a str,
    summary: &'a str,
    parameters: Vec<Parameter>,
    status: &'a str,
    answer: Response,
    wrong: &'a [Wrong],
}

impl Plan<'_> {
    fn get(self, path: &'static str) -> Described {
        Described { path, method: HttpMethod::Get, operation: self.operation().build() }
    }

    fn post(self, path: &'static str) -> Described {
        Described { path, method: HttpMethod::Post, operation: self.operation().build() }
    }

    fn operation(self) -> OperationBuilder {
        let mut responses = ResponsesBuilder::new().response(self.status, self.answer);
        for wrong in self.wrong.iter().chain(&Wrong::ALWAYS) {
            let (status, answer) = wrong.answer();
            responses = responses.response(status, answer);
        }
        OperationBuilder::new()
            .operation_id(Some(self.id))
            .summary(Some(self.summary))
            .parameters(Some(self.parameters))
            .responses(responses.build())
    }
}

fn feed() -> Described {
    let plan = Plan {
        id: "feed",
        summary: "One page of a reader's feed.",
        parameters: parameters::feed(),
        status: "200",
        answer: answers::feed_headers(answers::json::<FeedPage>("The page.")),
        wrong: &[Wrong::Caller, Wrong::Scope],
    };
    plan.get("/api/v1/feed")
}

fn invalidate() -> Described {
    let plan = Plan {
        id: "invalidate",
        summary: "The later pages of a reader's feed are ranked anew: drops what is pinned of it.",
        parameters: parameters::invalidate(),
        status: "200",
        answer: answers::json::<Invalidated>("How many rankings were pinned.").build(),
        wrong: &[Wrong::Caller, Wrong::Scope],
    };
    plan.post("/api/v1/feed/invalidate")
}

fn explain() -> Described {
    let plan = Plan {
        id: "explain",
        summary: "Why a post stands where it does on the reader's ranking, or which stage left it out.",
        parameters: parameters::explain(),
        status: "200",
        answer: answers::json::<Explanation>("Everything there is to say of the post.").build(),
        wrong: &[Wrong::Caller, Wrong::Scope],
    };
    plan.get("/api/v1/feed/explain")
}

fn trending() -> Described {
    let plan = Plan {
        id: "trending",
        summary: "Trending posts, without those the reader may not see.",
        parameters: parameters::trending(),
        status: "200",
        answer: answers::json::<TrendingPage>("The page.").build(),
        wrong: &[Wrong::Caller],
    };
    plan.get("/api/v1/feed/trending")
}

fn suggested() -> Described {
    let plan = Plan {
        id: "suggestedUsers",
        summary: "Users whom the reader might follow: friends of friends, by mutual count.",
        parameters: parameters::suggested(),
        status: "200",
        answer: answers::json::<SuggestedUsers>("The users, and why.").build(),
        wrong: &[Wrong::Caller],
    };
    plan.get("/api/v1/discover/suggested-users")
}

fn events() -> Described {
    let plan = Plan {
        id: "events",
        summary: "What readers did: taken when Kafka has acknowledged it, or when it is on this node's disk.",
        parameters: Vec::new(),
        status: "202",
        answer: answers::json::<Answer>("What was taken, what was not, and where to wait for it.").build(),
        wrong: &[Wrong::Caller, Wrong::Scope, Wrong::Type],
    };
    let operation = plan.operation().request_body(Some(posted::body())).build();
    Described { path: "/api/v1/events", method: HttpMethod::Post, operation }
}

fn document() -> Described {
    let plan = Plan {
        id: "openapi",
        summary: "This document.",
        parameters: Vec::new(),
        status: "200",
        answer: answers::document(),
        wrong: &[],
    };
    let operation = plan.operation().securities(Some(Vec::<SecurityRequirement>::new())).build();
    Described { path: "/openapi.json", method: HttpMethod::Get, operation }
}
