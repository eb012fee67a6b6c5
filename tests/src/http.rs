//! The little HTTP/1.1 that the harness needs: one request a connection, plain TCP.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A request or an answer as it stood on the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// Request or status line, without line end.
    pub(crate) first_line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// Reads one message. `None`: the peer closed the connection first.
    pub(crate) fn read(stream: impl Read) -> io::Result<Option<Self>> {
        let mut reader = BufReader::new(stream);
        let mut first_line = String::new();
        if reader.read_line(&mut first_line)? == 0 {
            return Ok(None);
        }
        let headers = read_headers(&mut reader)?;
        let mut message =
            Self { first_line: first_line.trim_end().into(), headers, body: Vec::new() };
        message.body = message.read_body(&mut reader)?;
        Ok(Some(message))
    }

    /// Value of a header by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| &**value)
    }

    /// Writes the message as the only one of its connection.
    pub(crate) fn write(&self, mut stream: impl Write) -> io::Result<()> {
        let mut head = format!("{}\r\n", self.first_line);
        for (name, value) in &self.headers {
            if !matches!(&**name, "content-length" | "transfer-encoding" | "connection") {
                head.extend([name, ": ", value, "\r\n"]);
            }
        }
        let length = self.body.len().to_string();
        head.extend(["content-length: ", &length, "\r\nconnection: close\r\n\r\n"]);
        stream.write_all(head.as_bytes())?;
        stream.write_all(&self.body)?;
        stream.flush()
    }

    fn read_body(&self, reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            while let Some(chunk) = read_chunk(reader)? {
                body.extend(chunk);
            }
            read_headers(reader)?;
            return Ok(body);
        }
        let length = self.header("content-length").and_then(|length| length.parse().ok());
        body.resize(length.unwrap_or(0), 0);
        reader.read_exact(&mut body)?;
        Ok(body)
    }
}

/// Headers or trailers up to the empty line, their names in lower case.
pub(crate) fn read_headers(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(headers) };
        headers.push((name.to_ascii_lowercase(), value.trim().into()));
    }
}

/// One chunk of a body. `None`: the last one, after which trailers or an empty line follow.
pub(crate) fn read_chunk(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut size = String::new();
    if reader.read_line(&mut size)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let size = size.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(size, 16)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if size == 0 {
        return Ok(None);
    }
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk)?;
    chunk.truncate(size);
    Ok(Some(chunk))
}

/// Sends the request to `authority` ("127.0.0.1:8200") and returns status and body.
pub(crate) fn exchange(authority: &str, request: &Message) -> io::Result<Message> {
    let stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    request.write(&stream)?;
    Message::read(&stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
