import Keys
import Loop
import Testing

@testable import Ratel

@Suite struct EndpointSlicesTests {
    private func addresses(
        _ text: String, _ port: EndpointSlices.Service.Port = .number(8_443)
    ) throws -> [String] {
        let list = try #require(JSONParser.parse(Array(text.utf8)))
        return try EndpointSlices.addresses(list, port).map { "\($0)" }
    }

    @Test func whatIsReadyIsFoundOnce() throws {
        let found = try addresses(
            """
            {"items": [
              {"addressType": "IPv6", "ports": null, "endpoints": [
                {"addresses": ["2001:db8::1", "2001:db8::2"], "conditions": {"ready": true}}]},
              {"addressType": "IPv4", "endpoints": [
                {"addresses": ["10.0.0.2"], "conditions": {"ready": true}},
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": true}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": false}},
                {"addresses": ["10.0.0.4"], "conditions": {"ready": "true"}},
                {"addresses": ["10.0.0.5"], "conditions": {}},
                {"addresses": ["10.0.0.6"]},
                {"addresses": [], "conditions": {"ready": true}},
                {"addresses": ["pod.example"], "conditions": {"ready": true}}]},
              {"addressType": "IPv4", "endpoints": null}]}
            """)
        #expect(found == ["10.0.0.1:8443", "10.0.0.2:8443", "[2001:db8::1]:8443"])
    }

    @Test func aNamedPortIsEachSlicesOwn() throws {
        func slice(_ address: String, _ port: String) -> String {
            """
            {"ports": [{"name": "metrics", "port": 9}, {"name": "attested", "port": \(port)}],
             "endpoints": [{"addresses": ["\(address)"], "conditions": {"ready": true}}]}
            """
        }
        let list = [
            slice("10.0.0.1", "8443"), slice("10.0.0.2", "9443"), slice("10.0.0.3", "null"),
            slice("10.0.0.4", "0"), slice("10.0.0.5", "70000"), slice("10.0.0.6", "-1"),
        ].joined(separator: ",")
        let found = try addresses("{\"items\": [\(list)]}", .name("attested"))
        #expect(found == ["10.0.0.1:8443", "10.0.0.2:9443"])
    }

    @Test func whatIsNoListIsNoAnswer() throws {
        for text in ["{}", "[]", "{\"items\": {}}", "{\"items\": null}", "null"] {
            #expect(throws: KubernetesAPI.Failure.self) { try addresses(text) }
        }
        #expect(try addresses("{\"items\": []}") == [])
    }

    @Test func aServiceIsAskedForByItsLabel() {
        let service = EndpointSlices.Service(namespace: "ai", name: "llm", port: .number(1))
        #expect(
            service.path == "/apis/discovery.k8s.io/v1/namespaces/ai/endpointslices"
                + "?labelSelector=kubernetes.io%2Fservice-name%3Dllm&resourceVersion=0")
    }
}
