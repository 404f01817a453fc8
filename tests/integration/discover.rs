//! What readers discover beside their feed is the contract's formula too: trending posts and users to follow.

mod http;
mod suggested;
mod town;
mod trending;
