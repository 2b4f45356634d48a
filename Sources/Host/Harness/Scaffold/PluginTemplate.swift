/// The files of a new plugin's package.
struct PluginTemplate {
  struct File {
    /// Below the package's directory.
    var path: String
    var text: String
  }

  /// Kebab-case: `rate-card`.
  var name: String
  /// Bulkhead's package; empty in C.
  var sdk: String

  /// `RateCard`
  var type: String {
    name.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  }

  /// `RateCardPlugin`: a module may not be named as a type in it.
  var module: String { "\(type)Plugin" }

  /// `rate_card`
  var identifier: String { name.split(separator: "-").joined(separator: "_") }

  var swiftLibrary: String { ".build/release/lib\(module).so" }
  var cLibrary: String { "build/lib\(module).so" }

  private var caseFile: File {
    File(
      path: "Cases/\(name)\(CaseFile.suffix)",
      text: """
        # What \(name) promises. Run by: bulkhead test LIBRARY
        [plugin]
        mount = /\(name)

        [case it greets by name]

        GET /\(name)/Ada

        HTTP 200
        body contains Hello, Ada

        [case the greeting is a setting]
        greeting = Ahoy

        GET /\(name)/Ada

        HTTP 200
        body contains Ahoy, Ada

        [case a path that it does not know is 404]

        GET /\(name)/a/b

        HTTP 404
        Content-Type: application/problem+json

        """)
  }
}

// MARK: Swift

extension PluginTemplate {
  var swiftFiles: [File] {
    [
      File(path: "Package.swift", text: manifest),
      File(path: "Sources/\(module)/\(type).swift", text: swiftSource),
      File(path: "Sources/\(module)/Entry.swift", text: swiftEntry),
      File(path: "Tests/\(module)Tests/\(type)Tests.swift", text: swiftTests), caseFile,
      File(path: "README.md", text: swiftReadMe), File(path: ".gitignore", text: ".build/\n"),
    ]
  }

  private var manifest: String {
    """
    // swift-tools-version: 6.2
    import PackageDescription

    let package = Package(
      name: "\(name)",
      products: [.library(name: "\(module)", type: .dynamic, targets: ["\(module)"])],
      dependencies: [.package(name: "bulkhead", path: "\(sdk)")],
      targets: [
        .target(name: "\(module)", dependencies: [.product(name: "PluginAPI", package: "bulkhead")]),
        .testTarget(
          name: "\(module)Tests",
          dependencies: ["\(module)", .product(name: "PluginTesting", package: "bulkhead")]),
      ],
      swiftLanguageModes: [.v6]
    )

    """
  }

  private var swiftSource: String {
    """
    import PluginAPI

    /// What plugins.conf says of this plugin.
    struct \(type)Settings: PluginSettings {
      var greeting: String

      static let schema = [Setting("greeting", .string, default: "Hello", help: "what is said to whoever asks")]
    }

    /// Greets whoever asks, below its mount.
    struct \(type): Router {
      static let plugin = PluginDescription(name: "\(name)", version: "0.1.0", summary: "Greets whoever asks")

      private let greeting: String

      init(_ start: Start<\(type)Settings>) { greeting = start.settings.greeting }

      func routes(_ routes: inout Routes) {
        routes.get("{name}", access: .public) { [greeting] request in
          .text("\\(greeting), \\(request[parameter: "name"] ?? "you")\\n")
        }
      }
    }

    """
  }

  private var swiftEntry: String {
    """
    import PluginAPI

    /// What the host looks for in the library.
    @c(bulkhead_plugin) public func bulkheadPlugin() -> PluginTable? { PluginTable.of(\(type).self) }

    """
  }

  private var swiftTests: String {
    """
    import PluginAPI
    import PluginTesting
    import Testing

    @testable import \(module)

    @Suite("\(type)")
    struct \(type)Tests {
      private let plugin = TestedPlugin(
        PluginTable.of(\(type).self), library: "\(module)", settings: ["greeting": "Ahoy"], mount: "/\(name)")

      /// Within this process and, where there is a release build of the host, in the real one.
      @Test("greets by name", arguments: HostKind.available)
      func greets(kind: HostKind) throws {
        try plugin.run(in: kind) { host in
          let answer = try host.send("GET", "/\(name)/Ada")
          #expect(answer.status == 200)
          #expect(answer.text == "Ahoy, Ada\\n")
        }
      }

      @Test("a setting that it does not know is refused")
      func unknownSetting() {
        #expect(throws: StartFailure.self) {
          try InProcessHost(PluginTable.of(\(type).self), settings: ["greting": "Ahoy"], mount: "/\(name)")
        }
      }
    }

    """
  }

  private var swiftReadMe: String {
    """
    # \(name)

    A plugin for Bulkhead. `GET /\(name)/{name}` greets.

        swift build -c release                       the library: \(swiftLibrary)
        swift test                                   its tests, within the process and in the real host
        bulkhead test \(swiftLibrary)                its cases (Cases/), each in a process of its own
        bulkhead validate \(swiftLibrary)            every rule of the boundary

    The host that `swift test` starts is `bulkhead` in the path, or what BULKHEAD_BINARY names.

    """
  }
}

// MARK: C

extension PluginTemplate {
  /// The package brings the headers that this program was built with.
  var cFiles: [File] {
    let headers = HeaderText.names.compactMap { header in
      HeaderText.text(of: header).map { File(path: "include/bulkhead/\(header)", text: $0) }
    }
    return [
      File(path: "\(identifier).c", text: cSource), File(path: "Makefile", text: makefile), caseFile,
      File(path: "README.md", text: cReadMe), File(path: ".gitignore", text: "build/\n"),
    ] + headers
  }

  private var makefile: String {
    """
    BULKHEAD ?= bulkhead
    CFLAGS ?= -O2 -g
    LIBRARY = \(cLibrary)

    $(LIBRARY): \(identifier).c
    \tmkdir -p build
    \t$(CC) $(CFLAGS) -std=gnu11 -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden -I include -o $@ $<

    .PHONY: test clean
    test: $(LIBRARY)
    \t$(BULKHEAD) test $(LIBRARY)
    \t$(BULKHEAD) validate $(LIBRARY)

    clean:
    \trm -rf build

    """
  }

  private var cSource: String {
    """
    /* A plugin for Bulkhead: greets whoever asks, below its mount. */
    #include "bulkhead/plugin.h"

    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>

    /* What `start` makes, and every other call is handed. Constant once made: loops share it without a lock. */
    typedef struct greeter {
      const bh_host *host;
      bh_context *context;
      char *greeting;
    } greeter;

    static bh_bytes view(const char *text) { return (bh_bytes){.data = text, .count = strlen(text)}; }

    static const bh_setting_schema greeting_schema = {
        .size = sizeof(bh_setting_schema),
        .type = BH_SETTING_STRING,
        .name = "greeting",
        .default_value = "Hello",
        .help = "what is said to whoever asks",
    };

    static const bh_setting_schema *const schema[] = {&greeting_schema};

    static void stop(void *instance) {
      greeter *self = instance;
      free(self->greeting);
      free(self);
    }

    /* States a reason, and leaves nothing behind: `stop` is not called after a fault. */
    static bh_status fail(const bh_start *start, greeter *self, const char *reason) {
      start->host->set_error(start->context, NULL, view(reason));
      if (self != NULL) stop(self);
      return BH_FAULT;
    }

    static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
      (void)plugin;
      greeter *self = calloc(1, sizeof *self);
      if (self == NULL) return fail(start, NULL, "no memory");
      self->host = start->host;
      self->context = start->context;
      for (size_t index = 0; index < start->setting_count; index++) {
        const bh_setting *setting = start->settings[index];
        if (strcmp(setting->name, greeting_schema.name) != 0) continue;
        free(self->greeting);
        self->greeting = strndup(setting->text.data, setting->text.count);
      }
      if (self->greeting == NULL) return fail(start, self, "no memory for the greeting");
      const bh_route route = {.size = sizeof route, .method = "GET", .pattern = "{name}"};
      if (start->host->add_route(start->context, &route) != BH_OK) return fail(start, self, "the route is refused");
      *instance = self;
      return BH_OK;
    }

    /* On a loop: short, and never blocks. A view is not terminated. */
    static bh_status handle(void *instance, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
      (void)handler;
      const greeter *self = instance;
      bh_bytes name = request->parameters[0].value;
      size_t capacity = strlen(self->greeting) + name.count + 4;
      char *text = malloc(capacity);
      if (text == NULL) {
        self->host->set_error(self->context, exchange, view("no memory"));
        return BH_FAULT;
      }
      int count = snprintf(text, capacity, "%s, ", self->greeting);
      memcpy(text + count, name.data, name.count);
      text[(size_t)count + name.count] = '\\n';
      self->host->set_header(exchange, view("Content-Type"), view("text/plain; charset=utf-8"));
      self->host->set_body(exchange, (bh_bytes){.data = text, .count = (size_t)count + name.count + 1});
      free(text);
      return BH_OK;
    }

    static const bh_plugin table = {
        .size = sizeof(bh_plugin),
        .abi_major = BH_ABI_MAJOR,
        .abi_minor = BH_ABI_MINOR,
        .capabilities = BH_ROUTES,
        .name = "\(name)",
        .version = "0.1.0",
        .summary = "Greets whoever asks",
        .settings = schema,
        .setting_count = sizeof schema / sizeof schema[0],
        .start = start,
        .stop = stop,
        .handle = handle,
    };

    __attribute__((visibility("default"))) const bh_plugin *bulkhead_plugin(void);
    const bh_plugin *bulkhead_plugin(void) { return &table; }

    """
  }

  private var cReadMe: String {
    """
    # \(name)

    A plugin for Bulkhead, in C. `GET /\(name)/{name}` greets.

        make                             the library: \(cLibrary)
        make test                        its cases (Cases/) and every rule of the boundary
        make test BULKHEAD=/path/to/it   with a bulkhead that is not in the path

    `include/bulkhead` is the whole of what host and plugin share.

    """
  }
}
