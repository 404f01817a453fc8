//! edgefeed
