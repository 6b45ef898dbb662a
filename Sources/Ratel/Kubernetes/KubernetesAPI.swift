internal import HTTP
internal import Keys
internal import Loop

/// The part of Kubernetes' API that the webhook and the router need: objects by path, over HTTPS,
/// with the token of a service account. Blocks.
struct KubernetesAPI: Sendable {
    /// Where a pod finds it ("Accessing the Kubernetes API from a Pod").
    static let account = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// Why there is no answer, in one line; never the token.
    struct Failure: Error, CustomStringConvertible {
        let description: String
        /// Whether somebody else changed the object meanwhile.
        var isConflict = false
    }

    let base: WebAddress
    /// PEM of the authority that vouches for the server.
    let authorities: String
    /// The file with the token; read for each request, since it is replaced while it is valid.
    let token: String

    /// The server that is told by `api`, `api-ca` and `api-token`, or the one of the cluster that
    /// this runs in; nil where neither is there.
    init?(_ source: ConfigurationSource) throws(ConfigurationError) {
        var text = source["api"]
        if text == nil, let host = System.environment("KUBERNETES_SERVICE_HOST"),
            let port = System.environment("KUBERNETES_SERVICE_PORT")
        {
            text = "https://" + (host.contains(":") ? "[\(host)]" : host) + ":\(port)"
        }
        guard let text else { return nil }
        guard let address = WebAddress(text), address.isSecure else {
            throw ConfigurationError("--api: expected https://HOST[:PORT], got \(text)")
        }
        base = address
        authorities = source["api-ca"] ?? KubernetesAPI.account + "/ca.crt"
        token = source["api-token"] ?? KubernetesAPI.account + "/token"
    }

    /// What is told where there is none.
    static let missing = ConfigurationError(
        "--api is missing, and this is not a pod: KUBERNETES_SERVICE_HOST is not set")

    /// The object at `path`.
    func get(_ path: String) throws(Failure) -> JSONValue {
        try ask("GET", path, [])
    }

    /// Applies a JSON Patch (RFC 6902) to the object at `path`.
    func patch(_ path: String, _ operations: [JSONValue]) throws(Failure) -> JSONValue {
        try ask("PATCH", path, Array(JSONValue.array(operations).serialised().utf8))
    }

    private func ask(
        _ method: String, _ path: String, _ body: [UInt8]
    ) throws(Failure) -> JSONValue {
        var fetch = Fetch(url: base.appending(path), anchors: try readAuthorities())
        fetch.method = method
        fetch.body = body
        fetch.fields = [
            ("authorization", "Bearer " + (try readToken())), ("accept", "application/json"),
        ]
        if !body.isEmpty { fetch.fields.append(("content-type", "application/json-patch+json")) }
        switch fetch.run() {
        case .failure(let failure): throw Failure(description: failure.description)
        case .success(let answer):
            let value = JSONParser.parse(answer.body)
            guard answer.status == 200, let value else {
                let said = value?["message"]?.text ?? "no JSON"
                throw Failure(
                    description: "\(method) \(fetch.url): status \(answer.status): \(said)",
                    // A `test` of a patch that fails is 422 in some versions.
                    isConflict: answer.status == 409 || answer.status == 422)
            }
            return value
        }
    }

    private func readAuthorities() throws(Failure) -> [Certificate] {
        // A cluster has one to a few.
        guard let pem = System.readFile(authorities, limit: 1 << 20) else {
            throw Failure(description: "\(authorities): cannot be read")
        }
        do throws(KeyError) {
            return try Certificate.read(pem: pem)
        } catch {
            throw Failure(description: "\(authorities): \(error)")
        }
    }

    private func readToken() throws(Failure) -> String {
        // Bound tokens have some 1.2 KiB; a head has room for 16.
        guard let bytes = System.readFile(token, limit: 16 << 10) else {
            throw Failure(description: "\(token): cannot be read")
        }
        let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Failure(description: "\(token): not a token")
        }
        return text
    }
}
