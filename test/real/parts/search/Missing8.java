package missing;

import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.Supplier;

import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.settings.SettingsFilter;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.RestChannel;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;

/** What the distribution for tests of 8 and 9 lacks: the answer to GET /. */
public class Missing extends Plugin implements ActionPlugin, AnalysisPlugin {
    private static final String ANSWER = "{\"name\":\"%s\",\"cluster_name\":\"%s\","
        + "\"version\":{\"number\":\"%s\",\"build_flavor\":\"%s\",\"build_hash\":\"%s\"},\"tagline\":\"You Know, for Search\"}%n";

    @Override
    public Collection<RestHandler> getRestHandlers(
        /* what 8 hands over: */ Settings settings, NamedWriteableRegistry writeables, RestController controller,
        ClusterSettings cluster, IndexScopedSettings index, SettingsFilter filter,
        IndexNameExpressionResolver resolver, /* until here */
        Supplier<DiscoveryNodes> nodes, Predicate<NodeFeature> has) {
        return List.of(new Root(nodes));
    }

    private static final class Root implements RestHandler {
        private final Supplier<DiscoveryNodes> nodes;

        Root(Supplier<DiscoveryNodes> nodes) {
            this.nodes = nodes;
        }

        @Override
        public List<Route> routes() {
            return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
        }

        @Override
        public void handleRequest(RestRequest request, RestChannel channel, NodeClient client) {
            Build build = Build.current();
            channel.sendResponse(new RestResponse(RestStatus.OK, "application/json", String.format(Locale.ROOT, ANSWER,
                nodes.get().getLocalNode().getName(), client.settings().get("cluster.name", "elasticsearch"),
                build.version(), build.flavor(), build.hash())));
        }
    }

    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        return Analysis.filters();
    }

    @Override
    public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
        return Analysis.tokenizers();
    }
}
