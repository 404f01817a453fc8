//! What ClickHouse's error codes mean for whoever sent the query: one table.

use super::error::Class;

/// Reason of a stall: the center's tables are not what this program writes.
pub const SCHEMA: &str = "schema";
/// Reason of a stall: the user may not do this.
pub const AUTH: &str = "auth";
/// Reason of a stall: the server is not fit to be written to, whatever its tables are like.
pub const PREFLIGHT: &str = "preflight";

const TRANSIENT: Class = Class::Transient;
const BAD_SCHEMA: Class = Class::Systemic(SCHEMA);
const BAD_AUTH: Class = Class::Systemic(AUTH);
const UNFIT: Class = Class::Systemic(PREFLIGHT);
const POISON: Class = Class::Poison;

/// Code, ClickHouse's name of it, and its class. What is not here is [`Class::Unknown`].
///
/// The names are compared with those of the real engine by a test.
const CODES: &[(u32, &str, Class)] = &[
    // A network, a disk or a replica that is away for now, or too much at once.
    (3, "UNEXPECTED_END_OF_FILE", TRANSIENT),
    (40, "CHECKSUM_DOESNT_MATCH", TRANSIENT),
    (95, "CANNOT_READ_FROM_SOCKET", TRANSIENT),
    (96, "CANNOT_WRITE_TO_SOCKET", TRANSIENT),
    (107, "FILE_DOESNT_EXIST", TRANSIENT),
    (159, "TIMEOUT_EXCEEDED", TRANSIENT),
    (173, "CANNOT_ALLOCATE_MEMORY", TRANSIENT),
    (198, "DNS_ERROR", TRANSIENT),
    (201, "QUOTA_EXCEEDED", TRANSIENT),
    (202, "TOO_MANY_SIMULTANEOUS_QUERIES", TRANSIENT),
    (203, "NO_FREE_CONNECTION", TRANSIENT),
    (209, "SOCKET_TIMEOUT", TRANSIENT),
    (210, "NETWORK_ERROR", TRANSIENT),
    (225, "NO_ZOOKEEPER", TRANSIENT),
    (236, "ABORTED", TRANSIENT),
    (241, "MEMORY_LIMIT_EXCEEDED", TRANSIENT),
    (242, "TABLE_IS_READ_ONLY", TRANSIENT),
    (243, "NOT_ENOUGH_SPACE", TRANSIENT),
    (244, "UNEXPECTED_ZOOKEEPER_ERROR", TRANSIENT),
    // Also what an insert into more than a hundred partitions of a table is told; that limit is lifted by a setting.
    (252, "TOO_MANY_PARTS", TRANSIENT),
    (254, "NO_ACTIVE_REPLICAS", TRANSIENT),
    (265, "NO_AVAILABLE_REPLICA", TRANSIENT),
    (271, "CANNOT_DECOMPRESS", TRANSIENT),
    (279, "ALL_CONNECTION_TRIES_FAILED", TRANSIENT),
    (285, "TOO_FEW_LIVE_REPLICAS", TRANSIENT),
    (286, "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE", TRANSIENT),
    (289, "REPLICA_IS_NOT_IN_QUORUM", TRANSIENT),
    (297, "SHARD_HAS_NO_CONNECTIONS", TRANSIENT),
    (319, "UNKNOWN_STATUS_OF_INSERT", TRANSIENT),
    (364, "RECEIVED_ERROR_TOO_MANY_REQUESTS", TRANSIENT),
    (369, "ALL_REPLICAS_ARE_STALE", TRANSIENT),
    (384, "PART_IS_TEMPORARILY_LOCKED", TRANSIENT),
    (394, "QUERY_WAS_CANCELLED", TRANSIENT),
    (416, "REPLICA_STATUS_CHANGED", TRANSIENT),
    (425, "SYSTEM_ERROR", TRANSIENT),
    (439, "CANNOT_SCHEDULE_TASK", TRANSIENT),
    (473, "DEADLOCK_AVOIDED", TRANSIENT),
    (499, "S3_ERROR", TRANSIENT),
    (500, "AZURE_BLOB_STORAGE_ERROR", TRANSIENT),
    (519, "NO_REMOTE_SHARD_AVAILABLE", TRANSIENT),
    (529, "NOT_A_LEADER", TRANSIENT),
    (999, "KEEPER_EXCEPTION", TRANSIENT),
    (1000, "POCO_EXCEPTION", TRANSIENT),
    // Tables, views or columns that are missing or other than ours.
    (7, "INCORRECT_NUMBER_OF_COLUMNS", BAD_SCHEMA),
    (8, "THERE_IS_NO_COLUMN", BAD_SCHEMA),
    (9, "SIZES_OF_COLUMNS_DOESNT_MATCH", BAD_SCHEMA),
    (10, "NOT_FOUND_COLUMN_IN_BLOCK", BAD_SCHEMA),
    (16, "NO_SUCH_COLUMN_IN_TABLE", BAD_SCHEMA),
    (20, "NUMBER_OF_COLUMNS_DOESNT_MATCH", BAD_SCHEMA),
    (44, "ILLEGAL_COLUMN", BAD_SCHEMA),
    (47, "UNKNOWN_IDENTIFIER", BAD_SCHEMA),
    (50, "UNKNOWN_TYPE", BAD_SCHEMA),
    (53, "TYPE_MISMATCH", BAD_SCHEMA),
    (60, "UNKNOWN_TABLE", BAD_SCHEMA),
    (70, "CANNOT_CONVERT_TYPE", BAD_SCHEMA),
    (81, "UNKNOWN_DATABASE", BAD_SCHEMA),
    (122, "INCOMPATIBLE_COLUMNS", BAD_SCHEMA),
    (218, "TABLE_IS_DROPPED", BAD_SCHEMA),
    (349, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", BAD_SCHEMA),
    // A user that is unknown, unproved or not allowed. READONLY is a user's profile; a table's is 242.
    (164, "READONLY", BAD_AUTH),
    (192, "UNKNOWN_USER", BAD_AUTH),
    (193, "WRONG_PASSWORD", BAD_AUTH),
    (194, "REQUIRED_PASSWORD", BAD_AUTH),
    (195, "IP_ADDRESS_NOT_ALLOWED", BAD_AUTH),
    (291, "DATABASE_ACCESS_DENIED", BAD_AUTH),
    (497, "ACCESS_DENIED", BAD_AUTH),
    (511, "UNKNOWN_ROLE", BAD_AUTH),
    (516, "AUTHENTICATION_FAILED", BAD_AUTH),
    // A server that does not know, or does not let this user choose, the settings that make a row land once.
    (46, "UNKNOWN_FUNCTION", UNFIT),
    (62, "SYNTAX_ERROR", UNFIT),
    (73, "UNKNOWN_FORMAT", UNFIT),
    (115, "UNKNOWN_SETTING", UNFIT),
    (452, "SETTING_CONSTRAINT_VIOLATION", UNFIT),
    (472, "READONLY_SETTING", UNFIT),
    // A row that the server could not read or would not have.
    (6, "CANNOT_PARSE_TEXT", POISON),
    (26, "CANNOT_PARSE_QUOTED_STRING", POISON),
    (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", POISON),
    (32, "ATTEMPT_TO_READ_AFTER_EOF", POISON),
    (33, "CANNOT_READ_ALL_DATA", POISON),
    (38, "CANNOT_PARSE_DATE", POISON),
    (41, "CANNOT_PARSE_DATETIME", POISON),
    (72, "CANNOT_PARSE_NUMBER", POISON),
    (117, "INCORRECT_DATA", POISON),
    (131, "TOO_LARGE_STRING_SIZE", POISON),
    (321, "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE", POISON),
    (376, "CANNOT_PARSE_UUID", POISON),
    (469, "VIOLATED_CONSTRAINT", POISON),
];

/// The codes that are known, each with ClickHouse's name of it.
pub fn known_codes() -> impl Iterator<Item = (u32, &'static str)> {
    CODES.iter().map(|(code, name, _)| (*code, *name))
}

/// The class of a code.
pub(super) fn class(code: u32) -> Class {
    CODES.iter().find(|(known, _, _)| *known == code).map_or(Class::Unknown, |(_, _, class)| *class)
}

/// The code in ClickHouse's words, `Code: 252. DB::Exception: …`; they may follow half an answer.
pub(super) fn find(words: &str) -> Option<u32> {
    words.match_indices("Code: ").find_map(|(at, prefix)| {
        let rest = &words[at + prefix.len()..];
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        // Alone when the server only sent a header.
        let whole = rest[digits..].is_empty() || rest[digits..].starts_with(". DB::");
        whole.then(|| rest[..digits].parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_where_clickhouse_writes_it() {
        let cases = [
            ("Code: 252. DB::Exception: Too many parts (300). (TOO_MANY_PARTS)", Some(252)),
            ("half an answer Code: 159. DB::Exception: Timeout exceeded", Some(159)),
            ("Code: 210. DB::NetException: Connection refused. (NETWORK_ERROR)", Some(210)),
            ("Code: 241", Some(241)),
            ("my Code: 7 of shame, Code: 60. DB::Exception: no such table", Some(60)),
            ("<html>502 Bad Gateway</html>", None),
            ("Code: . DB::Exception", None),
            ("Code: 99999999999999999999. DB::Exception", None),
            ("", None),
        ];
        for (words, code) in cases {
            assert_eq!(find(words), code, "{words}");
        }
    }

    #[test]
    fn no_code_stands_twice_in_the_table() {
        let mut codes: Vec<_> = CODES.iter().map(|(code, _, _)| code).collect();
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!((class(60), class(252), class(4_242)), (BAD_SCHEMA, TRANSIENT, Class::Unknown));
    }
}
