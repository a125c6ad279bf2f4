//! Buckets and their objects, in memory, within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::web::Bytes;
use jiff::Timestamp;

use super::body::{Checksum, md5};
use super::error::S3Error;
use crate::aws::{AccountId, Partition};
use crate::sandbox::world::Bucket;

/// An object is as large as this at most.
pub const MAX_OBJECT: usize = 5 * 1024 * 1024;
/// All objects together, with their keys.
const MAX_TOTAL: usize = 64 * 1024 * 1024;
const MAX_OBJECTS: usize = 10_000;
/// Of AWS, in bytes.
const MAX_KEY: usize = 1024;

/// An object as it was written.
#[derive(Debug, Clone)]
pub struct Object {
    pub bytes: Bytes,
    /// Without quotation marks.
    pub etag: String,
    pub content_type: Option<String>,
    /// `x-amz-meta-…` headers.
    pub metadata: Vec<(String, String)>,
    pub checksum: Option<Checksum>,
    pub modified: Timestamp,
}

impl Object {
    /// # Errors
    /// As [`md5`].
    pub fn new(bytes: impl Into<Bytes>, modified: Timestamp) -> Result<Self, S3Error> {
        let bytes = bytes.into();
        let etag = md5(&bytes)?.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { bytes, etag, content_type: None, metadata: Vec::new(), checksum: None, modified })
    }
}

#[derive(Debug)]
struct Contents {
    bucket: Bucket,
    created: Timestamp,
    objects: BTreeMap<String, Object>,
}

/// A bucket, as `ListBuckets` tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketLine {
    pub name: String,
    pub region: String,
    pub created: Timestamp,
}

/// One page of a list of objects.
#[derive(Debug, Default)]
pub struct Page {
    pub objects: Vec<(String, Object)>,
    pub prefixes: Vec<String>,
    /// Where the next page begins: after this key or prefix.
    pub next: Option<String>,
}

/// What is asked of a list.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    pub prefix: String,
    pub delimiter: String,
    pub after: String,
    pub max_keys: usize,
}

/// All buckets of all accounts.
#[derive(Debug)]
pub struct Buckets(Mutex<BTreeMap<String, Contents>>);

impl Buckets {
    /// The buckets of a world, with what it puts into them.
    ///
    /// # Errors
    /// As [`md5`].
    pub fn new(buckets: &[Bucket], now: Timestamp) -> Result<Self, S3Error> {
        let mut all = BTreeMap::new();
        for bucket in buckets {
            let mut objects = BTreeMap::new();
            for (key, text) in &bucket.objects {
                let mut object = Object::new(text.clone().into_bytes(), now)?;
                object.content_type = Some("text/plain".to_owned());
                objects.insert(key.clone(), object);
            }
            all.insert(bucket.name.clone(), Contents { bucket: bucket.clone(), created: now, objects });
        }
        Ok(Self(Mutex::new(all)))
    }

    /// Who owns a bucket, and where it is.
    ///
    /// # Errors
    /// `NoSuchBucket`; names are unique within a partition, so one in another partition is no bucket.
    pub fn bucket(&self, partition: Partition, name: &str) -> Result<(AccountId, String), S3Error> {
        let buckets = self.lock();
        let found = buckets.get(name).filter(|contents| contents.bucket.partition == partition);
        let bucket = &found.ok_or_else(|| S3Error::no_such_bucket(name))?.bucket;
        Ok((bucket.account, bucket.region.to_string()))
    }

    #[must_use]
    pub fn of_account(&self, account: AccountId) -> Vec<BucketLine> {
        let buckets = self.lock();
        let owned = buckets.values().filter(|contents| contents.bucket.account == account);
        owned
            .map(|contents| BucketLine {
                name: contents.bucket.name.clone(),
                region: contents.bucket.region.to_string(),
                created: contents.created,
            })
            .collect()
    }

    /// # Errors
    /// `NoSuchBucket`
    pub fn list(&self, bucket: &str, asked: &Listing) -> Result<Page, S3Error> {
        let buckets = self.lock();
        let contents = buckets.get(bucket).ok_or_else(|| S3Error::no_such_bucket(bucket))?;
        let mut page = Page::default();
        if asked.max_keys == 0 {
            return Ok(page);
        }
        let mut prefixes = BTreeSet::new();
        let mut last: Option<String> = None;
        for (key, object) in contents.objects.range(asked.prefix.clone()..) {
            let Some(rest) = key.strip_prefix(&asked.prefix) else { break };
            let rolled = (!asked.delimiter.is_empty())
                .then(|| rest.find(&asked.delimiter))
                .flatten()
                .map(|at| format!("{}{}", asked.prefix, &rest[..at + asked.delimiter.len()]));
            let name = rolled.as_ref().unwrap_or(key);
            if name <= &asked.after || rolled.as_ref().is_some_and(|prefix| prefixes.contains(prefix)) {
                continue;
            }
            if page.objects.len() + prefixes.len() >= asked.max_keys {
                page.next = last;
                break;
            }
            last = Some(name.clone());
            match rolled {
                Some(prefix) => {
                    prefixes.insert(prefix);
                }
                None => page.objects.push((key.clone(), object.clone())),
            }
        }
        page.prefixes = prefixes.into_iter().collect();
        Ok(page)
    }

    #[must_use]
    pub fn get(&self, bucket: &str, key: &str) -> Option<Object> {
        self.lock().get(bucket)?.objects.get(key).cloned()
    }

    /// # Errors
    /// `NoSuchBucket`, or there is no room.
    pub fn put(&self, bucket: &str, key: &str, object: Object) -> Result<(), S3Error> {
        if key.len() > MAX_KEY {
            return Err(S3Error::key_too_long());
        }
        if object.bytes.len() > MAX_OBJECT {
            return Err(S3Error::too_large(MAX_OBJECT));
        }
        let mut buckets = self.lock();
        let others = || {
            let all = buckets.iter().flat_map(|(name, contents)| {
                contents.objects.iter().filter(move |(known, _)| (name.as_str(), known.as_str()) != (bucket, key))
            });
            all.map(|(key, object)| key.len() + object.bytes.len())
        };
        if others().count() >= MAX_OBJECTS {
            return Err(S3Error::full(&format!("{MAX_OBJECTS} objects")));
        }
        if others().sum::<usize>() + key.len() + object.bytes.len() > MAX_TOTAL {
            return Err(S3Error::full(&format!("{} MiB", MAX_TOTAL / 1024 / 1024)));
        }
        let contents = buckets.get_mut(bucket).ok_or_else(|| S3Error::no_such_bucket(bucket))?;
        contents.objects.insert(key.to_owned(), object);
        Ok(())
    }

    /// Deletes an object. What is not there is deleted already.
    pub fn delete(&self, bucket: &str, key: &str) {
        if let Some(contents) = self.lock().get_mut(bucket) {
            contents.objects.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Contents>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn buckets(keys: &[&str]) -> Buckets {
        let bucket = Bucket {
            account: "111122223333".parse().unwrap(),
            partition: Partition::Aws,
            name: "reports".to_owned(),
            region: "eu-west-1".parse().unwrap(),
            objects: keys.iter().map(|key| ((*key).to_owned(), "text".to_owned())).collect(),
        };
        Buckets::new(&[bucket], now()).unwrap()
    }

    fn all(buckets: &Buckets, prefix: &str, delimiter: &str, max_keys: usize) -> Vec<Vec<String>> {
        let mut asked =
            Listing { prefix: prefix.to_owned(), delimiter: delimiter.to_owned(), after: String::new(), max_keys };
        let mut pages = Vec::new();
        loop {
            let page = buckets.list("reports", &asked).unwrap();
            let mut names: Vec<String> = page.objects.into_iter().map(|(key, _)| key).chain(page.prefixes).collect();
            names.sort();
            pages.push(names);
            match page.next {
                Some(next) => asked.after = next,
                None => return pages,
            }
        }
    }

    #[test]
    fn a_list_shows_what_lies_directly_below_a_prefix_page_by_page() {
        let buckets = buckets(&["a/1", "a/2", "a/b/3", "a/b/4", "a/c/5", "b", "z/9"]);
        assert_eq!(all(&buckets, "", "/", 1000), [["a/", "b", "z/"]]);
        assert_eq!(all(&buckets, "a/", "/", 1000), [["a/1", "a/2", "a/b/", "a/c/"]]);
        assert_eq!(all(&buckets, "a/", "/", 3), [vec!["a/1", "a/2", "a/b/"], vec!["a/c/"]]);
        assert_eq!(all(&buckets, "", "", 4), [vec!["a/1", "a/2", "a/b/3", "a/b/4"], vec!["a/c/5", "b", "z/9"]]);
        assert_eq!(all(&buckets, "a/b", "", 1000), [["a/b/3", "a/b/4"]]);
        assert_eq!(all(&buckets, "none", "/", 1000), [Vec::<String>::new()]);
    }

    #[test]
    fn there_is_an_end_to_what_can_be_kept() {
        let buckets = buckets(&[]);
        let put = |key: &str, size: usize| buckets.put("reports", key, Object::new(vec![0; size], now()).unwrap());
        assert_eq!(put("big", MAX_OBJECT + 1).unwrap_err().code, "EntityTooLarge");
        assert_eq!(put(&"k".repeat(1025), 1).unwrap_err().code, "KeyTooLongError");
        for n in 0..12 {
            put(&format!("o{n}"), MAX_OBJECT).unwrap();
        }
        put("o0", MAX_OBJECT).unwrap();
        assert_eq!(put("one more", MAX_OBJECT).unwrap_err().code, "InvalidRequest");
        buckets.delete("reports", "o1");
        put("one more", MAX_OBJECT).unwrap();
        assert_eq!(buckets.put("nowhere", "k", Object::new(vec![], now()).unwrap()).unwrap_err().code, "NoSuchBucket");
    }

    #[test]
    fn a_bucket_is_found_in_its_own_partition_only() {
        let buckets = buckets(&["a"]);
        assert_eq!(buckets.bucket(Partition::Aws, "reports").unwrap().1, "eu-west-1");
        assert_eq!(buckets.bucket(Partition::AwsCn, "reports").unwrap_err().code, "NoSuchBucket");
        assert_eq!(buckets.of_account("111122223333".parse().unwrap()).len(), 1);
        assert!(buckets.of_account("444455556666".parse().unwrap()).is_empty());
    }
}
