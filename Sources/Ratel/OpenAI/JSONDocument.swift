internal import Keys
internal import Streams

extension Disposition {
    /// Answer it here with a JSON document.
    static func document(_ value: JSONValue) -> Disposition {
        .answer(
            status: 200, contentType: "application/json", body: Array(value.serialised().utf8))
    }
}

extension LocalReply {
    /// Answers with a JSON document.
    func send(_ value: JSONValue) {
        send(status: 200, contentType: "application/json", body: Array(value.serialised().utf8))
    }
}
