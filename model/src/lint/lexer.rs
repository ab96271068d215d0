//! Splits one file of nginx's configuration into statements: words up to a `;`, a `{`, a `}` or the end
//! (ngx_conf_read_token).

/// Maximum length of a word that nginx accepts, in bytes as written (`NGX_CONF_BUFFER`).
const MAX_WORD: usize = 4096;

/// An error that nginx reports too, or a limit of this reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// A byte other than a word or its end.
    #[error("unexpected \"{}\"", .0.escape_ascii())]
    Unexpected(u8),
    /// A directive without an end.
    #[error("unexpected end of file, expected \";\" or \"}}\"")]
    EndInDirective,
    /// A block without an end.
    #[error("unexpected end of file, expected \"}}\"")]
    EndInBlock,
    /// A word that exceeds nginx's buffer, in most cases because of a missing quote.
    #[error("a word of more than 4096 bytes, a quote may be missing")]
    LongWord,
    /// Blocks are nested too deep.
    #[error("blocks are nested deeper than is read")]
    TooDeep,
    /// A file that includes itself, directly or through other files.
    #[error("the file is included by itself")]
    IncludesItself,
    /// The configuration has more files or bytes than the limit.
    #[error("the configuration is larger than is read")]
    TooLarge,
}

/// The end of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// `;`
    Directive,
    /// `{`
    Open,
    /// `}`, without words before it.
    Close,
    /// The end of the file, without words before it.
    File,
}

/// The words of a statement, and its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// At least one word before `;` and `{`, none before the other ends.
    pub words: Vec<String>,
    /// The line of the first word, counted from 1; without words, the line of the end.
    pub line: usize,
    /// The token after the words.
    pub end: End,
}

/// Reads statements from the bytes of a file.
pub(super) struct Lexer {
    bytes: Vec<u8>,
    at: usize,
    /// The line of the next byte, counted from 1.
    pub line: usize,
}

impl Lexer {
    /// Starts at the beginning of a file.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0, line: 1 }
    }

    /// Returns the next statement.
    pub(super) fn statement(&mut self) -> Result<Statement, SyntaxError> {
        let mut words = Vec::new();
        let mut line = None;
        loop {
            self.skip_blanks();
            let here = self.line;
            let done = |words, end| Ok(Statement { words, line: line.unwrap_or(here), end });
            let Some(byte) = self.peek() else {
                return if words.is_empty() {
                    done(words, End::File)
                } else {
                    Err(SyntaxError::EndInDirective)
                };
            };
            match byte {
                b';' | b'{' if words.is_empty() => return Err(SyntaxError::Unexpected(byte)),
                b'}' if !words.is_empty() => return Err(SyntaxError::Unexpected(byte)),
                b';' | b'{' | b'}' => {
                    self.advance();
                    let end = match byte {
                        b';' => End::Directive,
                        b'{' => End::Open,
                        _ => End::Close,
                    };
                    return done(words, end);
                }
                b'"' | b'\'' => {
                    self.advance();
                    words.push(self.quoted_word(byte)?);
                }
                _ => words.push(self.bare_word()?),
            }
            line.get_or_insert(here);
        }
    }

    /// Skips the rest of a block that is written in another language (`content_by_lua_block`), including its `}`.
    pub(super) fn skip_foreign_block(&mut self) -> Result<(), SyntaxError> {
        let mut depth = 1;
        while let Some(byte) = self.advance() {
            match byte {
                b'{' => depth += 1,
                b'}' if depth == 1 => return Ok(()),
                b'}' => depth -= 1,
                b'"' | b'\'' => self.skip_lua_string(byte),
                b'[' => _ = self.skip_long_bracket(),
                b'-' if self.peek() == Some(b'-') => self.skip_lua_comment(),
                _ => {}
            }
        }
        Err(SyntaxError::EndInBlock)
    }

    /// Skips a string up to and including its unescaped closing quote, or up to the end of the line, where Lua ends a
    /// string too.
    fn skip_lua_string(&mut self, quote: u8) {
        while let Some(byte) = self.advance() {
            match byte {
                b'\\' => _ = self.advance(),
                b'\n' => return,
                _ if byte == quote => return,
                _ => {}
            }
        }
    }

    /// Skips a comment after its first dash: to the end of its brackets, or of the line.
    fn skip_lua_comment(&mut self) {
        self.advance();
        if self.peek() == Some(b'[') {
            self.advance();
            if self.skip_long_bracket() {
                return;
            }
        }
        while self.advance().is_some_and(|byte| byte != b'\n') {}
    }

    /// Skips a long string of Lua, `[[ ]]` or `[=[ ]=]`, after its first bracket. Returns `false` for any other bracket.
    fn skip_long_bracket(&mut self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let level = rest.iter().take_while(|byte| **byte == b'=').count();
        if rest.get(level) != Some(&b'[') {
            return false;
        }
        let end = [b"]".as_slice(), &vec![b'='; level], b"]"].concat();
        let begin = level + 1;
        let found = rest[begin..].windows(end.len()).position(|window| window == end);
        let length = found.map_or(rest.len(), |at| begin + at + end.len());
        for _ in 0..length {
            self.advance();
        }
        true
    }

    /// Reads a word after its opening quote. The next byte must be a blank or an end.
    fn quoted_word(&mut self, quote: u8) -> Result<String, SyntaxError> {
        let begin = self.at;
        loop {
            if self.at - begin > MAX_WORD {
                return Err(SyntaxError::LongWord);
            }
            match self.advance() {
                None => return Err(SyntaxError::EndInDirective),
                Some(b'\\') => _ = self.advance(),
                Some(byte) if byte == quote => break,
                Some(_) => {}
            }
        }
        let word = unescape(self.bytes.get(begin..self.at - 1).unwrap_or_default());
        match self.peek() {
            // nginx treats a parenthesis as the next word: `if ($a = "b")`.
            None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') => Ok(word),
            Some(byte) => Err(SyntaxError::Unexpected(byte)),
        }
    }

    /// Reads a word without quotes; `${` in it opens no block.
    fn bare_word(&mut self) -> Result<String, SyntaxError> {
        let begin = self.at;
        let mut after_dollar = false;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' => break,
                b'{' if !after_dollar => break,
                b'\\' => _ = self.advance(),
                _ => {}
            }
            self.advance();
            after_dollar = byte == b'$' || after_dollar && byte == b'{';
            if self.at - begin > MAX_WORD {
                return Err(SyntaxError::LongWord);
            }
        }
        if self.peek().is_none() {
            return Err(SyntaxError::EndInDirective);
        }
        Ok(unescape(self.bytes.get(begin..self.at).unwrap_or_default()))
    }

    /// Skips blanks, line ends and comments.
    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => _ = self.advance(),
                b'#' => while self.advance().is_some_and(|byte| byte != b'\n') {},
                _ => return,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn advance(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }
}

/// Resolves the escapes that nginx knows; any other backslash stays. Bytes that are not UTF-8 become U+FFFD.
fn unescape(raw: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        let resolved = match (byte, rest.peek()) {
            (b'\\', Some(&quoted @ (b'"' | b'\'' | b'\\'))) => Some(quoted),
            (b'\\', Some(b't')) => Some(b'\t'),
            (b'\\', Some(b'r')) => Some(b'\r'),
            (b'\\', Some(b'n')) => Some(b'\n'),
            _ => None,
        };
        if resolved.is_some() {
            rest.next();
        }
        bytes.push(resolved.unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns the statements up to the end: words joined with `
    /// `, then the byte that ends them.
    fn read(text: &str) -> Result<Vec<String>, SyntaxError> {
        let mut lexer = Lexer::new(text.into());
        let mut read = Vec::new();
        loop {
            let statement = lexer.statement()?;
            let end = match statement.end {
                End::File => return Ok(read),
                End::Directive => ';',
                End::Open => '{',
                End::Close => '}',
            };
            read.push(format!("{} {}{end}", statement.line, statement.words.join("|")));
        }
    }

    #[test]
    fn words_quotes_and_escapes() {
        for (text, expected) in [
            ("", &[][..]),
            ("a;", &["1 a;"]),
            ("a b\tc\r\nd;", &["1 a|b|c|d;"]),
            ("# a { ' \nb; # c\n\n\nd\n e;", &["2 b;", "5 d|e;"]),
            ("a{b;}c{}", &["1 a{", "1 b;", "1 }", "1 c{", "1 }"]),
            (r#"a "b;{}# c" 'd "e';"#, &[r#"1 a|b;{}# c|d "e;"#]),
            (r#"a "b\"c" 'd\'e' f\;g h\ i;"#, &[r#"1 a|b"c|d'e|f\;g|h\ i;"#]),
            (r"a \t\n\\\x;", &["1 a|\t\n\\\\x;"]),
            ("a b'c\"d e#f;", &["1 a|b'c\"d|e#f;"]),
            ("a ${b} $c{d;}", &["1 a|${b}|$c{", "1 d;", "1 }"]),
            ("if ($a = \"b\") {}", &["1 if|($a|=|b|){", "1 }"]),
            ("a \"b\nc\" d;\ne;", &["1 a|b\nc|d;", "3 e;"]),
            ("\"a\";''  '' ;", &["1 a;", "1 |;"]),
        ] {
            assert_eq!(
                read(text).as_deref(),
                Ok(expected.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).as_deref(),
                "{text}"
            );
        }
    }

    #[test]
    fn what_nginx_refuses_is_refused() {
        for (text, expected) in [
            ("a", SyntaxError::EndInDirective),
            ("a b ", SyntaxError::EndInDirective),
            ("a \"b;", SyntaxError::EndInDirective),
            ("a b\\", SyntaxError::EndInDirective),
            (";", SyntaxError::Unexpected(b';')),
            ("{", SyntaxError::Unexpected(b'{')),
            ("a }", SyntaxError::Unexpected(b'}')),
            ("a \"b\"c;", SyntaxError::Unexpected(b'c')),
        ] {
            assert_eq!(read(text), Err(expected), "{text}");
        }
        assert!(read(&format!("a {};", "x".repeat(4090))).is_ok());
        assert_eq!(read(&format!("a {};", "x".repeat(5000))), Err(SyntaxError::LongWord));
        assert_eq!(read(&format!("a '{}';", "x".repeat(5000))), Err(SyntaxError::LongWord));
    }

    #[test]
    fn other_languages_are_stepped_over() {
        let text = "a { if x then return { '}', \"}\\\"}\" } end -- it's }\n } b;";
        let mut lexer = Lexer::new(text.into());
        assert_eq!(lexer.statement().unwrap().end, End::Open);
        lexer.skip_foreign_block().unwrap();
        let next = lexer.statement().unwrap();
        assert_eq!((next.words, next.line), (vec!["b".to_owned()], 2));
        assert_eq!(Lexer::new("{".into()).skip_foreign_block(), Err(SyntaxError::EndInBlock));
        for (lua, line) in [
            ("-- it's the key {\n}", 2),
            ("-- ends with a backslash \\\n}", 2),
            ("--[[ } ' \n } ]] x = [[ } \n ]] y = [=[ ]] } ]=] }", 3),
            ("--[=[ ]] } ]=] }", 1),
            ("--[x { \n}", 2),
            ("a[b[1]] = '\\'}' }", 1),
            ("a = 'never closed }\n}", 2),
            ("if a == \"}\" then { } end }", 1),
        ] {
            let mut lexer = Lexer::new(format!("{lua} b;").into());
            assert_eq!(lexer.skip_foreign_block(), Ok(()), "{lua}");
            let next = lexer.statement().unwrap();
            assert_eq!((next.words, next.line), (vec!["b".to_owned()], line), "{lua}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut lexer = Lexer::new(bytes);
            while lexer.statement().is_ok_and(|statement| statement.end != End::File) {}
        }

        #[test]
        fn near_configurations_end(text in "[a${}'\"\\\\;# \n()=\\[\\]-]{0,60}") {
            let mut lexer = Lexer::new(text.clone().into());
            let mut count = 0;
            while lexer.statement().is_ok_and(|statement| statement.end != End::File) {
                count += 1;
                prop_assert!(count <= text.len());
            }
            let _ = Lexer::new(text.into()).skip_foreign_block();
        }

        #[test]
        fn a_quoted_word_is_read_back(word in "[^\\\\\"]{0,40}") {
            let mut lexer = Lexer::new(format!("a \"{word}\";").into());
            prop_assert_eq!(&lexer.statement().unwrap().words[1], &word);
        }
    }
}
