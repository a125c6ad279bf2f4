//! What every page has around its content.

/// The frame of a page: who is looking, the token its forms carry, and what they should be told first.
///
/// Form in the header, when somebody is signed in: `POST /sign-out` with `csrf`.
#[derive(Debug, Clone, Default)]
pub struct Shell {
    /// Goes into the field `csrf` of every form that posts.
    pub csrf: String,
    /// Nobody on the pages before sign-in.
    pub person: Option<Person>,
    /// Shown above the content, in this order.
    pub notices: Vec<Notice>,
}

/// The person who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    pub name: String,
    /// Left out where it would repeat the name.
    pub email: Option<String>,
    /// The name of the connector, such as `Okta`.
    pub connector: String,
}

/// How urgent a notice is; said in words as well as shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Info,
    Done,
    Warning,
    Problem,
}

impl Tone {
    /// The name of the style.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Done => "done",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }

    /// Read before the notice by those who do not see its colour.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "Note",
            Self::Done => "Done",
            Self::Warning => "Warning",
            Self::Problem => "Problem",
        }
    }
}

/// One thing to be told: a sentence, and perhaps where to go.
#[derive(Debug, Clone)]
pub struct Notice {
    pub tone: Tone,
    pub text: String,
    pub link: Option<Link>,
}

impl Notice {
    #[must_use]
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into(), link: None }
    }

    #[must_use]
    pub fn with_link(mut self, href: impl Into<String>, text: impl Into<String>) -> Self {
        self.link = Some(Link { href: href.into(), text: text.into() });
        self
    }
}

/// Where something leads, and what it is called.
#[derive(Debug, Clone)]
pub struct Link {
    pub href: String,
    pub text: String,
}

/// A role as the title of a page.
#[derive(Debug, Clone)]
pub struct RoleTitle {
    pub account_name: String,
    pub account_id: String,
    /// The path with its closing slash (`teams/payments/`), or empty.
    pub path: String,
    /// The name without its path.
    pub name: String,
    /// `/roles/{account}/{role}`, encoded; the pages append `/console`, `/credentials` and the like.
    pub url: String,
}

impl Shell {
    #[must_use]
    pub fn sample() -> Self {
        Self {
            csrf: "c3JmLXNhbXBsZS1zYW1wbGUtc2FtcGxlLXNhbXBsZS0x".to_owned(),
            person: Some(Person {
                name: "Asha Rao".to_owned(),
                email: Some("asha.rao@northwind.example".to_owned()),
                connector: "Okta".to_owned(),
            }),
            notices: Vec::new(),
        }
    }

    /// For the pages before sign-in.
    #[must_use]
    pub fn sample_anonymous() -> Self {
        Self { person: None, ..Self::sample() }
    }

    #[must_use]
    pub fn with_notice(mut self, notice: Notice) -> Self {
        self.notices.push(notice);
        self
    }
}

impl RoleTitle {
    #[must_use]
    pub fn sample() -> Self {
        Self {
            account_name: "Payments production".to_owned(),
            account_id: "111122223333".to_owned(),
            path: "teams/payments/".to_owned(),
            name: "Deploy".to_owned(),
            url: "/roles/111122223333/teams/payments/Deploy".to_owned(),
        }
    }
}
