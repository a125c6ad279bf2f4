//! Where each region's STS is called.

use std::collections::BTreeMap;

use url::Url;

use super::error::StsError;
use crate::aws::{EndpointKind, Partition, Region};

/// The addresses of STS: those of one's own, and AWS's for all other regions.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// Called in every region that has none of its own here.
    pub everywhere: Option<Url>,
    pub by_region: BTreeMap<Region, Url>,
    /// Which of AWS's own are called.
    pub kind: EndpointKind,
}

/// Where STS is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub region: Region,
    pub url: Url,
}

impl Addresses {
    fn of(&self, partition: Partition, region: &Region) -> Option<Url> {
        let own = self.by_region.get(region).or(self.everywhere.as_ref()).cloned();
        own.or_else(|| partition.sts_endpoint(region, self.kind))
    }

    /// The places of some regions, in their order. What is at one address is one place.
    ///
    /// # Errors
    /// [`StsError::NoEndpoint`] if the first region has no endpoint of the kind that is wanted: nobody's wish for validated
    /// cryptography is met in another region behind their back.
    pub(super) fn places(&self, partition: Partition, regions: &[Region]) -> Result<Vec<Place>, StsError> {
        let mut places: Vec<Place> = Vec::with_capacity(regions.len());
        for region in regions {
            match self.of(partition, region) {
                Some(url) if places.iter().any(|place| place.url == url) => {}
                Some(url) => places.push(Place { region: region.clone(), url }),
                None if places.is_empty() => return Err(StsError::NoEndpoint),
                None => {}
            }
        }
        Ok(places)
    }
}
