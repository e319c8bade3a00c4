// Makes simpledateformat.tsv: java SimpleDateFormatTable.java >simpledateformat.tsv
import java.text.*; import java.util.*;
public class SimpleDateFormatTable {
  public static void main(String[] a) throws Exception {
    String[][] cases = {
      // pattern, zone, text
      {"yyyy-MM-dd'T'HH:mm:ss.SSSX","UTC","2026-11-26T23:59:01.250Z","2026-11-26T23:59:01.250+01"},
      {"yyyy-MM-dd'T'HH:mm:ss.SSSXXX","UTC","2026-11-26T23:59:01.250+05:30","2026-11-26T23:59:01.250Z","1969-12-31T23:59:59.999Z","2000-02-29T00:00:00.001-03:00"},
      {"yyyy-MM-dd'T'HH:mm:ssXX","UTC","2026-11-26T23:59:01+0530","2026-11-26T23:59:01Z"},
      {"yyyy-MM-dd'T'HH:mm:ss.SSSZ","UTC","2026-11-26T23:59:01.250+0100","2026-11-26T23:59:01.250-0800","2026-11-26T23:59:01.250GMT+01:00","2026-11-26T23:59:01.250UTC"},
      {"yyyy-MM-dd HH:mm:ss","UTC","2026-11-26 23:59:01","2026-1-2 3:4:5","2026-11-26 23:59:01.999 and more","2026-11-26  23:59:01","1900-03-01 00:00:00","2100-02-28 23:59:59"},
      {"yyyy-MM-dd HH:mm:ss,SSS","Europe/Berlin","2026-11-26 23:59:01,250","2026-07-01 00:00:00,000","2026-03-29 01:59:59,999","2026-03-29 03:00:00,000","1978-06-01 12:00:00,000","2026-10-25 03:00:00,000","2026-10-25 01:59:59,000","2026-03-29 02:30:00,000","2026-10-25 02:30:00,000"},
      {"yyyy-MM-dd HH:mm:ss","America/New_York","2026-11-26 23:59:01","2026-07-01 00:00:00"},
      {"yyyy-MM-dd HH:mm:ss","Asia/Kolkata","2026-11-26 23:59:01"},
      {"dd/MMM/yyyy:HH:mm:ss Z","UTC","26/Nov/2026:23:59:01 +0000","01/jan/2026:00:00:00 -0500","26/November/2026:23:59:01 +0000"},
      {"EEE, dd MMM yyyy HH:mm:ss z","UTC","Thu, 26 Nov 2026 23:59:01 GMT","Thursday, 26 Nov 2026 23:59:01 EST","thu, 26 nov 2026 23:59:01 PDT","Mon, 26 Nov 2026 23:59:01 UTC","Thu, 26 Nov 2026 23:59:01 +0100","Thu, 26 Nov 2026 23:59:01 GMT-03:00"},
      {"EEEE d MMMM yyyy h:mm a","UTC","Thursday 26 November 2026 11:05 PM","Thursday 5 May 2026 12:05 AM","Thursday 5 May 2026 12:05 pm"},
      {"yyyyMMddHHmmss","UTC","20261126235901","19700101000000"},
      {"yyyyMMddHHmmssSSS","UTC","20261126235901250"},
      {"yyyyMMdd","UTC","20261126"},
      {"yy-MM-dd HH:mm","UTC","26-11-26 23:59","99-12-31 00:00","00-01-01 00:00","1999-12-31 00:00"},
      {"y-M-d H:m:s","UTC","2026-1-2 3:4:5","2026-11-26 23:59:01"},
      {"yyyy-DDD HH","UTC","2026-330 23","2024-366 00","2026-001 07"},
      {"yyyy-MM-dd kk:mm","UTC","2026-11-26 24:05","2026-11-26 01:05"},
      {"yyyy-MM-dd KK:mm a","UTC","2026-11-26 00:05 PM","2026-11-26 11:05 AM"},
      {"yyyy-MM-dd u HH","UTC","2026-11-26 4 23"},
      {"yyyy-LL-dd","UTC","2026-11-26"},
      {"yyyy.MM.dd 'at' HH 'o''clock' mm","UTC","2026.11.26 at 23 o'clock 59"},
      {"MM/dd/yyyy HH:mm:ss","UTC","11/26/2026 23:59:01","2/3/2026 4:05:06"},
      {"MMM dd yyyy HH:mm:ss","UTC","Nov 26 2026 23:59:01","Nov  6 2026 23:59:01"},
      {"yyyy-MM-dd'T'HH:mm:ss'Z'","UTC","2026-11-26T23:59:01Z"},
      {"yyyy-MM-dd","UTC","2026-11-26","x026-11-26","2026-11","2026/11/26"},
      {"HH:mm 'on' yyyy-MM-dd","UTC","23:59 on 2026-11-26","23:59 in 2026-11-26"},
    };
    long[] times = {1795737541250L, 0L, 1767225600000L, 1782864000000L, 951782400001L, -1L, 1795694700000L};
    String[] formats = {"yyyy-MM-dd'T'HH:mm:ss.SSSX","yyyy-MM-dd'T'HH:mm:ss.SSSXX","yyyy-MM-dd'T'HH:mm:ss.SSSXXX","yyyy-MM-dd HH:mm:ss Z","EEE, dd MMM yyyy HH:mm:ss z","EEEE d MMMM yyyy h:mm a","yy-M-d H:m:s","y","yyyy-DDD","kk KK hh HH","u","''yyyy'' 'o''clock'","LLL","yyyyMMdd"};
    String[] zones = {"UTC","Europe/Berlin","America/New_York"};
    for (String[] c : cases) for (int i=2;i<c.length;i++) {
      SimpleDateFormat f = new SimpleDateFormat(c[0], Locale.ENGLISH); f.setTimeZone(TimeZone.getTimeZone(c[1]));
      Calendar start=Calendar.getInstance(TimeZone.getTimeZone("UTC")); start.setTimeInMillis(1795737541250L); start.add(Calendar.YEAR,-80); f.set2DigitYearStart(start.getTime());
      String r; try { r = Long.toString(f.parse(c[i]).getTime()); } catch (ParseException e) { r = "error"; }
      System.out.println("read\t"+c[0]+"\t"+c[1]+"\t"+c[i]+"\t"+r);
    }
    for (String p : formats) for (String z : zones) for (long t : times) {
      SimpleDateFormat f = new SimpleDateFormat(p, Locale.ENGLISH); f.setTimeZone(TimeZone.getTimeZone(z));
      System.out.println("write\t"+p+"\t"+z+"\t"+f.format(new Date(t))+"\t"+t);
    }
    // What differs on purpose.
    String[][] differs = {
      {"yyyy-MM-dd HH:mm:ss.SSS","UTC","2026-11-26 23:59:01.5","2026-11-26 23:59:01.123456"},
      {"yyyy-MM-dd","UTC","2026-13-45"}, {"HH:mm","UTC","23:59"}, {"MMM dd HH:mm:ss","UTC","Nov 26 23:59:01"}, {"yyyy-MM-dd HH","UTC","2026-11-26 24"},
      {"yyyy-MM-dd","UTC","-2026-11-26"}, {"yyyy-MM-dd HH:mmX","UTC","2026-11-26 23:59-1130"},
    };
    for (String[] c : differs) for (int i=2;i<c.length;i++) {
      SimpleDateFormat f = new SimpleDateFormat(c[0], Locale.ENGLISH); f.setTimeZone(TimeZone.getTimeZone(c[1]));
      String r; try { r = Long.toString(f.parse(c[i]).getTime()); } catch (ParseException e) { r = "error"; }
      System.out.println("differs\t"+c[0]+"\t"+c[1]+"\t"+c[i]+"\t"+r);
    }
  }
}
