//! Kafka's names of the followed topics, both ways.

use edgefeed_storage::model::{Topic, TopicPartition};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::error::{Error, Result};

/// The followed topics with their Kafka names: at most seven, so looking one up is a short walk.
#[derive(Clone, Debug)]
pub(crate) struct Names(Vec<(Topic, String)>);

impl Names {
    pub(crate) fn new(followed: Vec<(Topic, String)>) -> Self {
        Self(followed)
    }

    pub(crate) fn all(&self) -> &[(Topic, String)] {
        &self.0
    }

    /// The topic behind a Kafka name.
    pub(crate) fn topic(&self, name: &str) -> Option<Topic> {
        self.0.iter().find(|(_, known)| known == name).map(|(topic, _)| *topic)
    }

    /// The Kafka name of a followed topic.
    pub(crate) fn name(&self, topic: Topic) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == topic).map(|(_, name)| name.as_str())
    }

    /// The partition behind a Kafka name and number.
    pub(crate) fn partition(&self, name: &str, number: i32) -> Option<TopicPartition> {
        Some(TopicPartition { topic: self.topic(name)?, partition: u32::try_from(number).ok()? })
    }

    /// The partitions of the library's list.
    pub(crate) fn partitions(&self, list: &TopicPartitionList) -> Vec<TopicPartition> {
        let elements = list.elements();
        elements.iter().filter_map(|element| self.partition(element.topic(), element.partition())).collect()
    }

    /// The library's list of some partitions, each with an offset.
    pub(crate) fn list(
        &self,
        partitions: impl IntoIterator<Item = (TopicPartition, Offset)>,
    ) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (at, offset) in partitions {
            if let (Some(name), Ok(number)) = (self.name(at.topic), i32::try_from(at.partition)) {
                list.add_partition_offset(name, number, offset).map_err(Error::kafka("naming partitions"))?;
            }
        }
        Ok(list)
    }

    /// The partitions of the library's list that carry an offset and no error.
    pub(crate) fn offsets(&self, list: &TopicPartitionList) -> Vec<(TopicPartition, i64)> {
        let known = list.elements().into_iter().filter_map(|element| {
            element.error().ok()?;
            let Offset::Offset(offset) = element.offset() else { return None };
            Some((self.partition(element.topic(), element.partition())?, offset))
        });
        known.collect()
    }
}
