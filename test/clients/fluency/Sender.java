import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.komamitsu.fluency.BufferFullException;
import org.komamitsu.fluency.EventTime;
import org.komamitsu.fluency.Fluency;
import org.komamitsu.fluency.fluentd.FluencyBuilderForFluentd;

/**
 * Sends a known series of records with Fluency, and prints how many it sent.
 *
 * <p>Arguments: host, port, records, tags, ack (true or false). Record i has the tag real.T, T being i modulo tags,
 * the time 1700000000 s + i/1000 s + (i mod 1000) * 1000003 ns, and the fields n = i and text.
 */
public final class Sender {
  private Sender() {}

  public static void main(String[] args) throws Exception {
    int port = Integer.parseInt(args[1]);
    int records = Integer.parseInt(args[2]);
    int tags = Integer.parseInt(args[3]);
    FluencyBuilderForFluentd builder = new FluencyBuilderForFluentd();
    builder.setAckResponseMode(Boolean.parseBoolean(args[4]));
    builder.setFlushAttemptIntervalMillis(100);
    builder.setWaitUntilBufferFlushed(60);
    builder.setWaitUntilFlusherTerminated(60);
    Fluency fluency = builder.build(args[0], port);
    for (int i = 0; i < records; i++) {
      Map<String, Object> record = new HashMap<>();
      record.put("n", i);
      record.put("text", "w\u00f6rter, \"quoted\"\n");
      EventTime at = EventTime.fromEpoch(1_700_000_000 + i / 1000, i % 1000 * 1_000_003);
      emit(fluency, "real." + i % tags, at, record);
    }
    fluency.flush();
    if (!fluency.waitUntilAllBufferFlushed(60)) {
      throw new IllegalStateException("not everything was sent in time");
    }
    fluency.close();
    System.out.println("sent " + records);
  }

  /** Waits while the buffer is full, which Fluency does not do by itself. */
  private static void emit(Fluency fluency, String tag, EventTime at, Map<String, Object> record) throws Exception {
    for (int attempt = 0; ; attempt++) {
      try {
        fluency.emit(tag, at, record);
        return;
      } catch (BufferFullException e) {
        if (attempt > 600) {
          throw e;
        }
        TimeUnit.MILLISECONDS.sleep(100);
      }
    }
  }
}
