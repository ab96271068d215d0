//! Reads nginx's configuration as a tree of directives and resolves `include`.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lexer::{End, Lexer, Statement, SyntaxError};

/// Maximum depth of nested blocks. nginx allows about ten.
const MAX_DEPTH: usize = 64;
/// Maximum number of files, counted each time they are included.
const MAX_FILES: usize = 10_000;
/// Maximum size of all files, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// Access to the files of a configuration, which the caller provides.
pub trait Files {
    /// Returns the content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Returns the files that match a pattern with `*`, `?` or `[`, sorted. An empty list is not an error.
    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;
}

/// Why a configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file does not exist or cannot be read.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        why: io::Error,
    },
    /// An error that nginx reports too, or a limit of this reader.
    #[error("{}:{line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The rule of nginx's syntax that the line breaks.
        problem: SyntaxError,
    },
}

/// One directive, with the content of its block.
#[derive(Debug)]
pub struct Directive {
    /// The name and the arguments, as nginx reads them.
    pub words: Vec<String>,
    /// The file of the directive.
    pub file: Arc<Path>,
    /// The line on which the directive begins, counted from 1.
    pub line: usize,
    /// The content of the block; empty if the directive has no block.
    pub block: Vec<Directive>,
}

impl Directive {
    /// Returns the name.
    pub fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Returns the argument at `index`, counted from 0.
    pub fn argument(&self, index: usize) -> Option<&str> {
        self.words.get(index + 1).map(String::as_str)
    }

    /// Returns the directives of this name in the block.
    pub fn all<'d>(&'d self, name: &str) -> impl Iterator<Item = &'d Directive> {
        all(&self.block, name)
    }
}

/// Returns the directives of this name.
pub(super) fn all<'d>(directives: &'d [Directive], name: &str) -> impl Iterator<Item = &'d Directive> {
    directives.iter().filter(move |directive| directive.name() == name)
}

/// Reads `main_file` and all files that it includes. Relative paths start from its folder (ngx_conf_full_name).
pub fn read(main_file: &Path, files: &impl Files) -> Result<Vec<Directive>, ReadError> {
    let prefix = main_file.parent().unwrap_or(Path::new("")).to_owned();
    let mut reader =
        Reader { files, prefix, open: Vec::new(), blocks: Vec::new(), done: Vec::new(), count: 0, bytes: 0 };
    reader.open(main_file)?;
    while reader.step()? {}
    Ok(reader.done)
}

/// Returns whether `include` treats the path as a pattern (ngx_conf_include).
fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// A file that is being read.
struct OpenFile {
    path: Arc<Path>,
    lexer: Lexer,
    /// Number of blocks that were open before this file. The number must be the same at its end.
    outside: usize,
    /// Files of its last `include` that have not been read yet.
    included: VecDeque<PathBuf>,
}

/// The state between two statements: two stacks instead of a recursion.
struct Reader<'f, F> {
    files: &'f F,
    prefix: PathBuf,
    open: Vec<OpenFile>,
    /// Directives whose block is open.
    blocks: Vec<Directive>,
    done: Vec<Directive>,
    count: usize,
    bytes: usize,
}

impl<F: Files> Reader<'_, F> {
    /// Reads one statement, or opens one file. Returns `false` at the end of all files.
    fn step(&mut self) -> Result<bool, ReadError> {
        let Some(file) = self.open.last_mut() else { return Ok(false) };
        if let Some(path) = file.included.pop_front() {
            return self.open(&path).map(|()| true);
        }
        let (outside, path) = (file.outside, Arc::clone(&file.path));
        let statement = file.lexer.statement().map_err(|problem| self.refuse(problem))?;
        match statement.end {
            End::File if self.blocks.len() > outside => return Err(self.refuse(SyntaxError::EndInBlock)),
            End::File => _ = self.open.pop(),
            End::Close if self.blocks.len() <= outside => {
                return Err(self.refuse(SyntaxError::Unexpected(b'}')));
            }
            End::Close => {
                if let Some(block) = self.blocks.pop() {
                    self.put(block);
                }
            }
            End::Directive if statement.words.first().is_some_and(|name| name == "include") => {
                self.include(&statement)?;
            }
            End::Directive => self.put(directive(path, statement)),
            End::Open => self.begin(directive(path, statement))?,
        }
        Ok(true)
    }

    fn open(&mut self, path: &Path) -> Result<(), ReadError> {
        if self.open.iter().any(|file| &*file.path == path) {
            return Err(self.refuse(SyntaxError::IncludesItself));
        }
        let bytes = self.files.read(path).map_err(|why| ReadError::File { path: path.to_owned(), why })?;
        self.count += 1;
        self.bytes += bytes.len();
        if self.count > MAX_FILES || self.bytes > MAX_BYTES {
            return Err(self.refuse(SyntaxError::TooLarge));
        }
        self.open.push(OpenFile {
            path: path.into(),
            lexer: Lexer::new(bytes),
            outside: self.blocks.len(),
            included: VecDeque::new(),
        });
        Ok(())
    }

    /// Opens a block.
    fn begin(&mut self, directive: Directive) -> Result<(), ReadError> {
        if self.blocks.len() == MAX_DEPTH {
            return Err(self.refuse(SyntaxError::TooDeep));
        }
        if directive.name().ends_with("_by_lua_block") {
            let skipped = self.open.last_mut().map_or(Ok(()), |file| file.lexer.skip_foreign_block());
            skipped.map_err(|problem| self.refuse(problem))?;
            self.put(directive);
        } else {
            self.blocks.push(directive);
        }
        Ok(())
    }

    /// Queues the files of an `include`.
    fn include(&mut self, statement: &Statement) -> Result<(), ReadError> {
        let [_, named] = &statement.words[..] else {
            return Err(self.refuse(SyntaxError::Unexpected(b';')));
        };
        let path = self.prefix.join(named);
        let included = match is_pattern(named) {
            true => self.files.matching(&path).map_err(|why| ReadError::File { path, why })?,
            false => vec![path],
        };
        if let Some(file) = self.open.last_mut() {
            file.included = included.into();
        }
        Ok(())
    }

    /// Stores a complete directive.
    fn put(&mut self, directive: Directive) {
        self.blocks.last_mut().map_or(&mut self.done, |outer| &mut outer.block).push(directive);
    }

    /// Returns the error with the current place.
    fn refuse(&self, problem: SyntaxError) -> ReadError {
        let (path, line) =
            self.open.last().map_or((PathBuf::new(), 0), |file| (file.path.to_path_buf(), file.lexer.line));
        ReadError::Syntax { path, line, problem }
    }
}

fn directive(file: Arc<Path>, statement: Statement) -> Directive {
    Directive { words: statement.words, file, line: statement.line, block: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Memory;
    use super::*;
    use proptest::prelude::*;

    /// Lists places, words and depth of all directives.
    fn outline(directives: &[Directive], depth: usize, lines: &mut Vec<String>) {
        for directive in directives {
            let (file, line) = (directive.file.display(), directive.line);
            lines.push(format!("{file}:{line} {}{}", "-".repeat(depth), directive.words.join(" ")));
            outline(&directive.block, depth + 1, lines);
        }
    }

    fn lines(files: &[(&str, &str)]) -> Result<Vec<String>, ReadError> {
        let tree = read(Path::new("/etc/nginx/nginx.conf"), &Memory::new(files))?;
        let mut lines = Vec::new();
        outline(&tree, 0, &mut lines);
        Ok(lines)
    }

    #[test]
    fn blocks_and_includes_keep_file_and_line() {
        let read = lines(&[
            (
                "/etc/nginx/nginx.conf",
                "a;\nrtmp {\n include rtmp/*.conf;\n b c;\n}\ninclude \"/srv/x.conf\"; d;",
            ),
            ("/etc/nginx/rtmp/1.conf", "server {\n\n listen 1935; }"),
            ("/etc/nginx/rtmp/2.conf", "include deep.conf; e;"),
            ("/etc/nginx/rtmp/none", "nothing"),
            ("/etc/nginx/deep.conf", "f;"),
            ("/srv/x.conf", "\ng\nh;"),
        ]);
        assert_eq!(
            read.unwrap(),
            [
                "/etc/nginx/nginx.conf:1 a",
                "/etc/nginx/nginx.conf:2 rtmp",
                "/etc/nginx/rtmp/1.conf:1 -server",
                "/etc/nginx/rtmp/1.conf:3 --listen 1935",
                "/etc/nginx/deep.conf:1 -f",
                "/etc/nginx/rtmp/2.conf:1 -e",
                "/etc/nginx/nginx.conf:4 -b c",
                "/srv/x.conf:2 g h",
                "/etc/nginx/nginx.conf:6 d",
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_place() {
        let main = "/etc/nginx/nginx.conf";
        for (files, message) in [
            (&[(main, "a;\n}")][..], "/etc/nginx/nginx.conf:2: unexpected \"}\""),
            (&[(main, "a {\n")], "/etc/nginx/nginx.conf:2: unexpected end of file, expected \"}\""),
            (&[(main, "a")], "/etc/nginx/nginx.conf:1: unexpected end of file, expected \";\" or \"}\""),
            (&[(main, "include;")], "/etc/nginx/nginx.conf:1: unexpected \";\""),
            (&[(main, "include b;")], "/etc/nginx/b: not found"),
            (&[(main, "a { include b; }"), ("/etc/nginx/b", "c; }")], "/etc/nginx/b:1: unexpected \"}\""),
            (
                &[(main, "include b;"), ("/etc/nginx/b", "\ninclude b;")],
                "/etc/nginx/b:2: the file is included by itself",
            ),
            (
                &[(main, "include b*;"), ("/etc/nginx/b", "include nginx.conf;")],
                "/etc/nginx/b:1: the file is included by itself",
            ),
        ] {
            assert_eq!(lines(files).unwrap_err().to_string(), message);
        }
        let nested = format!("{}{}", "a {".repeat(100), "}".repeat(100));
        assert!(lines(&[(main, &nested)]).unwrap_err().to_string().ends_with("nested deeper than is read"));
        assert!(lines(&[("/other", "")]).unwrap_err().to_string().starts_with("/etc/nginx/nginx.conf: "));
    }

    #[test]
    fn the_same_file_may_be_included_twice_but_not_without_end() {
        let main = "/etc/nginx/nginx.conf";
        assert_eq!(lines(&[(main, "include a; include a;"), ("/etc/nginx/a", "x;")]).unwrap().len(), 2);
        let mut files = vec![(main.to_owned(), "include 0; include 0;".to_owned())];
        for level in 0..20 {
            files.push((format!("/etc/nginx/{level}"), format!("include {0}; include {0};", level + 1)));
        }
        files.push(("/etc/nginx/20".to_owned(), String::new()));
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert!(lines(&files).unwrap_err().to_string().ends_with("larger than is read"));
    }

    #[test]
    fn lua_is_not_read() {
        let text = "a_by_lua_block { if x { y = '}' } }\nb;";
        assert_eq!(lines(&[("/etc/nginx/nginx.conf", text)]).unwrap()[1], "/etc/nginx/nginx.conf:2 b");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([a-z${}'\";# \n]|include b;){0,60}", other in "[a{};\n]{0,20}") {
            let _ = lines(&[("/etc/nginx/nginx.conf", &text), ("/etc/nginx/b", &other)]);
        }
    }
}
