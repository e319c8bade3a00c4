import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import org.opensearch.Version;
import org.opensearch.cluster.service.ClusterService;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.PluginInfo;

/**
 * One node of OpenSearch 1, 2 or 3, from published jars: there is no distribution among them. Each argument is a
 * setting, key=value. The modules are those that are on the class path.
 */
public class OpenSearchNode extends Node {
    private static final List<String> MODULES = List.of("transport.Netty4", "index.reindex.Reindex", "index.mapper.MapperExtras");

    @SuppressWarnings({"unchecked", "rawtypes"})
    OpenSearchNode(Settings settings, List modules) {
        super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "n1"), modules, false);
    }

    /** Puts the node's name into the log's lines, which needs the distribution's own set-up of log4j. */
    @Override
    protected void configureNodeAndClusterIdStateListener(ClusterService service) {}

    /** A module's class, as version 1 and 2 want it, or its description, as 3 does; null without it. */
    private static Object module(String name) {
        for (String end : List.of("ModulePlugin", "Plugin")) {
            try {
                Class<?> found = Class.forName("org.opensearch." + name + end);
                if (Version.CURRENT.major < 3) {
                    return found;
                }
                return new PluginInfo(found.getName(), "", "NA", Version.CURRENT, "11", found.getName(), null, List.of(), false);
            } catch (ClassNotFoundException e) {
                continue;
            }
        }
        return null;
    }

    public static void main(String[] arguments) throws Exception {
        Settings.Builder settings = Settings.builder();
        for (String argument : arguments) {
            int equals = argument.indexOf('=');
            settings.put(argument.substring(0, equals), argument.substring(equals + 1));
        }
        List<Object> modules = new ArrayList<>();
        for (String name : MODULES) {
            Object found = module(name);
            if (found != null) {
                modules.add(found);
            }
        }
        Node node = new OpenSearchNode(settings.build(), modules);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }));
        node.start();
        Thread.currentThread().join();
    }
}
