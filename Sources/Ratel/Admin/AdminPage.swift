internal import Keys
public import Streams

/// A page that one use shows on the admin listener, beside those that all show.
public enum AdminPage {
    /// It is there at once.
    case ready(AdminDocument)
    /// It is answered in its time, on the loop of the listener.
    case asked((LocalReply) -> Void)
    /// Not to whoever asks so.
    case refused(Failure)
}

/// One document of the admin listener.
///
/// Browsers show these, so each says that nothing may be loaded, framed or guessed from it; what a
/// page needs of its own it is allowed by `allowing`.
public struct AdminDocument {
    let contentType: String
    let body: [UInt8]
    private let allowed: String

    /// `allowed` are directives of a Content-Security-Policy, each with its semicolon before it.
    init(_ contentType: String, _ text: String, allowing allowed: String = "") {
        self.contentType = contentType
        body = Array(text.utf8)
        self.allowed = allowed
    }

    init(_ json: JSONValue) {
        self.init("application/json", json.serialised())
    }

    var fields: [(name: String, value: String)] {
        [
            (
                "Content-Security-Policy",
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                    + allowed
            ),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
        ]
    }
}

extension LocalReply {
    func send(_ document: AdminDocument) {
        send(
            status: 200, contentType: document.contentType, body: document.body,
            fields: document.fields)
    }
}
