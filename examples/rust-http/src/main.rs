//! A small HTTP server with one dependency, and a page that is read when it is asked for.

use std::{env, fs};

use tiny_http::{Header, Response, Server};

fn main() {
    let port = env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let server = Server::http(format!("0.0.0.0:{port}")).expect("the port is free");
    println!("listening on port {port}");
    for request in server.incoming_requests() {
        let page = fs::read_to_string("templates/page.html").unwrap_or_default();
        let html = Header::from_bytes("content-type", "text/html").expect("a header");
        let body = page.replace("{path}", request.url());
        let _ = request.respond(Response::from_string(body).with_header(html));
    }
}
