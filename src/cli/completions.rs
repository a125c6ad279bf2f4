//! `rolegate completions` and `rolegate man`: made from the commands themselves.

use std::io;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell to print them for
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder to write a page for each command into; without it, the first page is printed
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// The pages could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ManError {
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the output could not be written")]
    Output(#[from] io::Error),
}

/// # Errors
/// Standard output cannot be written.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> io::Result<()> {
    // Into memory first, for the generator panics where it cannot write.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "rolegate", &mut text);
    io::Write::write_all(&mut io::stdout().lock(), &text)
}

/// # Errors
/// [`ManError`].
pub fn man(args: &ManArgs, command: Command) -> Result<(), ManError> {
    let Some(folder) = &args.folder else {
        return Ok(clap_mangen::Man::new(command).render(&mut io::stdout().lock())?);
    };
    let failed = |source| ManError::Write { path: folder.clone(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(command, folder).map_err(failed)
}
