//! A configuration for AWS's tools.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::{query, switch};
use crate::flows::current::CurrentCatalog;
use crate::flows::principal::Principal;
use crate::web::aws_config::{Choice, PARAMETERS, ProfileSource};
use crate::web::problem::Problem;

/// `GET /api/v1/aws-config?way=&template=&filter=&region=&helper=&token_file=&download=`: text for `~/.aws/config`.
///
/// # Errors
/// A parameter makes no sense, or the database refuses.
#[utoipa::path(
    get,
    path = "/api/v1/aws-config",
    operation_id = "awsConfig",
    tag = "person",
    params(
        ("way" = Option<String>, Query, pattern = "^(sso|container|process)?$", description = "How tools get keys: sso (if left out), container or process."),
        ("template" = Option<String>, Query, max_length = 200, description = "How profiles are called; `{account_name}-{role}` if left out. Also `{account}` and `{account_tags.NAME}`."),
        ("filter" = Option<String>, Query, max_length = 200, description = "Roles that this finds only, as in the picker. Names do not depend on it."),
        ("region" = Option<String>, Query, description = "The region of the profiles, where their partition has it; else what the catalog says."),
        ("helper" = Option<String>, Query, pattern = "^(rolegate|curl)?$", description = "With process: the program that is run; rolegate if left out."),
        ("token_file" = Option<String>, Query, max_length = 200, description = "With container, or process by curl: where the token lies."),
        ("download" = Option<bool>, Query, description = "Whether a browser is to save it as a file."),
    ),
    responses((status = 200, description = "Text for `~/.aws/config`.", body = String, content_type = "text/plain"))
)]
pub async fn aws_config(
    request: HttpRequest,
    user: Principal,
    catalog: web::Data<CurrentCatalog>,
    source: web::Data<ProfileSource>,
) -> Result<HttpResponse, Problem> {
    let known: Vec<&str> = PARAMETERS.into_iter().chain(["download"]).collect();
    let fields = query(&request, &known)?;
    let choice = Choice::of(&fields)?;
    let loaded = catalog.get().await?;
    let generated = choice.generate(&source, &loaded.policy, user.identity(), &user.scope());
    let mut response = HttpResponse::Ok();
    response.content_type("text/plain; charset=utf-8");
    if switch(&fields, "download")? {
        response.insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"aws-config\""));
    }
    Ok(response.body(generated.text))
}
