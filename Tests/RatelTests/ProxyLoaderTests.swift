import HTTP
import Loop
import RATS
import Testing

@testable import Ratel

struct ProxyLoaderTests {
    private let complete = """
        version: 1
        workers: 2
        admin: "127.0.0.1:9090"
        attestation: {attester: "none"}
        collateral: {pcs: "off"}
        listeners:
          - {name: web, address: "0.0.0.0:8080", protection: plain, proxy_protocol: v2,
             forwarded: append, idle_timeout: 10s, max_connections: 5}
          - {name: raw, address: "unix:/run/raw.sock", protection: passthrough, backends: [a]}
        backends:
          - {name: a, address: "llm-a:8000", protection: plain}
          - name: b
            address: "[::1]:8001"
            protection: plain
            send_proxy_protocol: v2
            connect_timeout: 250ms
            max_connections: 7
            health: {get: /health, interval: 1s, timeout: 500ms, successes: 3, failures: 4}
        routes:
          - name: chat
            match:
              listener: [web]
              host: [api.example.com, "*.example.com"]
              path: [/v1, /%76%32]
              header: {x-tier: gold}
              model: [llama]
            backends: [a, b]
            balance: least-streams
            access: {peers: [good]}
            limits: {streams: 10, body: 2MiB}
            timeouts: {first_byte: 1m, gap: 2s, request_gap: 3s}
            padding: off
          - {name: rest, match: any, backends: [a], access: any}
        """

    private func load(_ text: String) throws(Refusal) -> ProxyConfiguration {
        try ProxyLoader.load(bytes: Array(text.utf8), path: "folder/proxy.yaml")
    }

    private func refusal(_ text: String) -> Refusal? {
        do throws(Refusal) {
            _ = try load(text)
            return nil
        } catch {
            return error
        }
    }

    @Test func everyKeyIsRead() throws {
        let configuration = try load(complete)
        #expect(configuration.process["workers"] == "2" && configuration.process["pcs"] == "off")
        let web = configuration.listeners[0], raw = configuration.listeners[1]
        #expect(web.address == .ip(host: "0.0.0.0", port: 8080) && web.protection == .plain)
        #expect(web.awaitsProxyHeader && web.forwardsClientAddress)
        #expect(web.idle == 10_000 && web.maximumConnections == 5)
        #expect(raw.protection == .passthrough(.init(backends: ["a"], idle: 300_000)))
        #expect(!raw.awaitsProxyHeader && !raw.forwardsClientAddress)
        let a = configuration.backends[0], b = configuration.backends[1]
        #expect(!a.announcesCaller && a.connect == 5_000 && a.maximumConnections == 4_096)
        #expect(
            a.health
                == HealthCheck(
                    path: nil, interval: 2_000, timeout: 2_000, successes: 1, failures: 2))
        #expect(b.address == .ip(host: "::1", port: 8001) && b.announcesCaller)
        #expect(b.connect == 250 && b.maximumConnections == 7)
        #expect(
            b.health
                == HealthCheck(
                    path: "/health", interval: 1_000, timeout: 500, successes: 3, failures: 4))
        let chat = configuration.routes[0], rest = configuration.routes[1]
        #expect(chat.match.listeners == ["web"] && chat.match.models == ["llama"])
        #expect(chat.match.hosts == [.exact("api.example.com"), .below(".example.com")])
        #expect(chat.match.paths == ["/v1", "/v2"] && chat.backends == ["a", "b"])
        #expect(chat.match.headers == [.init(name: "x-tier", value: "gold")])
        #expect(chat.access == .peers(["good"]) && chat.maximumStreams == 10)
        #expect(chat.maximumBody == 2 << 20)
        #expect(chat.firstByte == 60_000 && chat.gap == 2_000 && chat.requestGap == 3_000)
        #expect(chat.writtenPadding == .off && chat.padding == .off)
        #expect(rest.writtenPadding == nil && rest.padding == .records)
        #expect(rest.match == RouteMatch() && rest.access == .any && rest.maximumBody == nil)
    }

    @Test func aMistakeIsToldWithItsPlace() {
        let cases: [(String, String, String, String)] = [
            ("    balance: least-streams", "    balanc: x", "proxy.key.unknown", "line 28"),
            (
                "  - {name: rest, match: any, ", "  - {name: rest, ", "proxy.key.missing",
                "routes[1]"
            ),
            ("access: any}", "access: [good]}", "proxy.value.refused", "routes[1].access"),
            ("access: any}", "access: {peers: []}}", "proxy.value.refused", "access.peers"),
            ("backends: [a], access", "backends: [c], access", "proxy.reference.unknown", "line"),
            ("backends: [a], access", "backends: [], access", "proxy.value.refused", "backends"),
            ("backends: [a, b]", "backends: [a, a]", "proxy.value.duplicate", "backends[1]"),
            ("padding: off", "padding: bucket", "proxy.value.refused", "padding"),
            ("body: 2MiB", "body: 2MB", "proxy.value.refused", "limits.body"),
            ("streams: 10", "streams: 0", "proxy.value.refused", "limits.streams"),
            ("gap: 2s", "gap: 2", "proxy.value.refused", "timeouts.gap"),
            ("idle_timeout: 10s", "idle_timeout: 1ms", "proxy.value.refused", "idle_timeout"),
            ("get: /health", "get: health", "proxy.value.refused", "health.get"),
            ("proxy_protocol: v2", "proxy_protocol: v1", "proxy.value.refused", "proxy_protocol"),
            ("version: 1", "version: 2", "proxy.value.refused", "version"),
            ("*.example.com", "*example.com", "proxy.value.refused", "host[1]"),
            ("api.example.com", "api.example.com:80", "proxy.value.refused", "host[0]"),
            ("path: [/v1,", "path: [v1,", "proxy.value.refused", "path[0]"),
            ("path: [/v1,", "path: [/a%2fb,", "proxy.value.refused", "path[0]"),
            ("header: {x-tier: gold}", "header: {}", "proxy.value.refused", "header"),
            ("header: {x-tier: gold}", "header: {x y: z}", "proxy.value.refused", "header"),
            ("workers: 2", "workers: 0", "proxy.value.refused", "workers"),
            ("workers: 2", "workers: 2\nworkers: 3", "proxy.malformed", "proxy"),
            ("{name: a, ", "{name: b, ", "proxy.name.duplicate", "backends[1]"),
            ("{name: a, ", "{name: \"a b\", ", "proxy.value.refused", "backends[0].name"),
            ("0.0.0.0:8080", "example.com:80", "proxy.value.refused", "listeners[0].address"),
            ("listener: [web]", "listener: [raw]", "proxy.reference.unknown", "routes[0]"),
        ]
        for (old, new, code, place) in cases {
            #expect(complete.contains(old), "\(old)")
            let found = refusal(complete.replacing(old, with: new))
            #expect(found?.code == code, "\(new): \(String(describing: found))")
            #expect(found?.field.contains(place) == true, "\(new): \(String(describing: found))")
            #expect(found?.remedy.contains("policy") != true)
        }
    }

    @Test func listsHaveALimit() {
        let one = "  - {name: x, match: any, backends: [a], access: any}\n"
        let many = (0..<1_100).map { one.replacing("name: x", with: "name: x\($0)") }.joined()
        #expect(refusal(complete + "\n" + many)?.code == "proxy.list.too_long")
        let large = "# " + String(repeating: "x", count: ProxyLoader.maxSize)
        #expect(refusal(complete + "\n" + large)?.code == "proxy.malformed")
    }

    @Test func pathsAreReadAsEveryServerReadsThem() throws {
        let same = ["/", "/v1", "/v1/", "/a%20b", "/a..b/.c", "/*", "/a;b=c"]
        for path in same { #expect(try RoutePath.normalise(path) == path) }
        #expect(try RoutePath.normalise("/%61%5A%7e/%c3%bc") == "/aZ~/%C3%BC")
        for path in [
            "/..", "/a/../b", "/.", "/a/./b", "/%2e%2e/a", "/a//b", "//", "/a%2Fb", "/a%5cb",
            "/a\\b", "/%00", "/%", "/%4", "/%zz", "/..;x/a", "/.%2e",
        ] {
            #expect(throws: HTTPRefusal.self, "\(path)") { try RoutePath.normalise(path) }
        }
    }

    @Test func hostsAreComparedWithoutPortAndCase() {
        #expect(RoutedRequest.hostName("API.Example.com:8443") == "api.example.com")
        #expect(RoutedRequest.hostName("example.com.") == "example.com")
        #expect(RoutedRequest.hostName("[::1]:80") == "[::1]")
        #expect(RoutedRequest.hostName("[::1]") == "[::1]")
    }
}
