//! `[support]`: whom people can turn to.

use super::reader::{Advice, Reader};
use super::setting::Setting;

pub(super) static SETTINGS: &[&Setting] = &[&TEXT, &CONTACT];
static TEXT: Setting = Setting::optional("support.text", "people are told to ask their administrator");
static CONTACT: Setting = Setting::optional("support.contact", "no contact is named");

#[derive(Debug, Clone, Default)]
pub struct SupportConfig {
    /// A sentence for people who have no role, or met a problem.
    pub text: Option<String>,
    /// Whom to ask: an address, a channel, a URL.
    pub contact: Option<String>,
}

pub(super) fn read(reader: &mut Reader) -> SupportConfig {
    SupportConfig { text: reader.optional(&TEXT, words(500)), contact: reader.optional(&CONTACT, words(200)) }
}

fn words(most: usize) -> impl Fn(&str) -> Result<String, Advice> {
    move |text| {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > most || text.chars().any(char::is_control) {
            Err(format!("write one line of at most {most} characters"))
        } else {
            Ok(text.to_owned())
        }
    }
}
