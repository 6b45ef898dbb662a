// swift-tools-version: 6.2
import PackageDescription

// One libFuzzer target per parser, over the sources of the product themselves (the folders of
// Sources are links), so that the parsers too are built with coverage. See `make fuzz`.
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: name,
        dependencies: dependencies,
        swiftSettings: [.swiftLanguageMode(.v6), .enableExperimentalFeature("Lifetimes")]
    )
}

func fuzzer(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: ["FuzzSupport"] + dependencies)
}

let package = Package(
    name: "fuzz",
    targets: [
        module("HTTP"),
        module("FuzzSupport"),
        fuzzer("FuzzRequestHead", ["HTTP"]),
        fuzzer("FuzzResponseHead", ["HTTP"]),
        fuzzer("FuzzBodyReader", ["HTTP"]),
    ]
)
