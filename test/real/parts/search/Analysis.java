package missing;

import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;

import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.miscellaneous.RemoveDuplicatesTokenFilter;
import org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter;
import org.apache.lucene.analysis.standard.StandardTokenizer;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;

/**
 * Three names of the module analysis-common, which the distribution for tests is without: the index that keeps users
 * and API keys has fields with them, which nobody searches here.
 */
final class Analysis {
    private Analysis() {}

    static Map<String, AnalysisProvider<TokenFilterFactory>> filters() {
        return Map.of(
            "pattern_capture",
            (index, environment, name, settings) -> filter(name, stream -> new PatternCaptureGroupTokenFilter(
                stream, true, settings.getAsList("patterns").stream().map(Pattern::compile).toArray(Pattern[]::new))),
            "unique",
            (index, environment, name, settings) -> filter(name, RemoveDuplicatesTokenFilter::new));
    }

    static Map<String, AnalysisProvider<TokenizerFactory>> tokenizers() {
        return Map.of("uax_url_email",
            (index, environment, name, settings) -> TokenizerFactory.newFactory(name, StandardTokenizer::new));
    }

    private static TokenFilterFactory filter(String name, UnaryOperator<TokenStream> made) {
        return new TokenFilterFactory() {
            @Override
            public String name() {
                return name;
            }

            @Override
            public TokenStream create(TokenStream stream) {
                return made.apply(stream);
            }
        };
    }
}
