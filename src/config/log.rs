//! `[log]`: what is written about what happens, on stderr.

use tracing_subscriber::EnvFilter;

use super::reader::Reader;
use super::setting::Setting;

pub(super) static SETTINGS: &[&Setting] = &[&FORMAT, &LEVEL];
static FORMAT: Setting = Setting::new("log.format", "text");
static LEVEL: Setting = Setting::new("log.level", "info");

#[derive(Debug, Clone)]
pub struct LogConfig {
    pub format: LogFormat,
    level: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogConfig {
    /// What is logged: the level as it was set, and nothing of the AWS client below `info`, because it writes whole
    /// requests and answers there. The web server says when it starts and stops; so do we, with more to the point.
    #[must_use]
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::new(format!("{},aws_=info,actix_server=warn", self.level))
    }
}

pub(super) fn read(reader: &mut Reader) -> LogConfig {
    LogConfig {
        format: reader.value(&FORMAT, |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("write text or json".to_owned()),
        }),
        level: reader.value(&LEVEL, |text| {
            if text.trim().is_empty() || EnvFilter::builder().parse(text).is_err() {
                Err("write error, warn, info, debug or trace, also by module, such as info,rolegate::signin=debug"
                    .to_owned())
            } else if text.split(',').any(|directive| directive.trim_start().starts_with("aws_")) {
                Err("leave out the AWS client: below info it logs whole requests, credentials included".to_owned())
            } else {
                Ok(text.to_owned())
            }
        }),
    }
}
