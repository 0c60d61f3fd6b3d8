//! A warehouse over X12: an order goes out to it as a 940 and comes back as a 945, by files both
//! ways and by HTTP.

use std::path::{Path, PathBuf};

use portreeve::folder::End;
use portreeve_model::{Digest, OrderId, ProcessState};
use portreeve_pipeline::Credential;

use crate::process::released;
use crate::support::{Setup, TestHost};

const TOKEN: &str = "token-of-the-x12-warehouse";

/// The warehouse's directories: what it is sent, what it sends, and what becomes of that.
struct Yard {
    folder: tempfile::TempDir,
}

impl Yard {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for place in ["orders", "advice", "replies", "failed"] {
            std::fs::create_dir(folder.path().join(place)).unwrap();
        }
        Self { folder }
    }

    fn path(&self, place: &str) -> PathBuf {
        self.folder.path().join(place)
    }

    /// The texts of the files of a place, by name; the host's own folders aside.
    fn files(&self, place: &str) -> Vec<(String, String)> {
        let named = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let entries = std::fs::read_dir(self.path(place)).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<(String, String)> = entries
            .filter(|path| path.is_file() && !named(path).starts_with('.'))
            .map(|path| (named(&path), std::fs::read_to_string(&path).unwrap()))
            .collect();
        files.sort();
        files
    }

    /// A host that sends it what the ERP has taken, and believes what it says has left.
    async fn host(&self) -> TestHost {
        let place = |place: &str| self.path(place).display().to_string();
        let target = format!(
            "[[plugin.egress]]\norigin = \"http://warehouse.outbox\"\n\n[[target]]\nid = \"warehouse\"\n\
             connector = \"x12-send\"\ntransformer = \"x12-out\"\nkind = \"x12/940\"\n\
             origin = \"http://warehouse.outbox\"\noutbox = \"{}\"\nexception_queue = \"integration\"\nfind = false\n\
             settings = {{ base-url = \"http://warehouse.outbox\", path = \"/{{set}}-{{number}}.edi\", \
             sender = \"ZZ:PORTREEVE\", usage = \"P\" }}\n\n\
             [target.interchange]\nknows_repeats = true\npartner = \"ZZ:WAREHOUSE\"\n\n\
             [[effect]]\non = \"order.accepted\"\nto = [\"accepted\"]\ntarget = \"warehouse\"\nsends = \"order\"\n",
            place("orders")
        );
        let channel = format!(
            "\n[[sender]]\nchannel = \"warehouse\"\nid = \"warehouse\"\ntoken_sha256 = \"{}\"\n\n\
             [[channel]]\nid = \"warehouse\"\nconnector = \"x12\"\ndocuments = {{ \"x12/945\" = \"x12-warehouse\" }}\n\
             target = \"erp\"\nexception_queue = \"integration\"\nsays = [\"shipment.confirmed\"]\n\
             settings = {{ sets = \"945\" }}\n\n\
             [[folder]]\nchannel = \"warehouse\"\ninbox = \"{}\"\noutbox = \"{}\"\nfailed = \"{}\"\n",
            Digest::of(TOKEN.as_bytes()),
            place("advice"),
            place("replies"),
            place("failed")
        );
        let receipt = "kind = \"business-central/sales-order\"\nreceipt = \"order.accepted\"";
        let setup = Setup::demo()
            .blindfolded("x12-out")
            .blindfolded("x12-warehouse")
            .plugin("x12-send", "{ http = [\"POST\"] }")
            .append("portreeve.toml", &target)
            .replace("portreeve.toml", "kind = \"business-central/sales-order\"", receipt)
            .append("portreeve.toml", &channel);
        let mut host = setup.start().await;
        host.host.watch().unwrap();
        host
    }
}

/// The elements of each segment of an interchange.
fn segments(text: &str) -> Vec<Vec<&str>> {
    text.split('~').map(|segment| segment.trim().split('*').collect()).collect()
}

/// The warehouse's advice about a 940: it says again what it was given, and of each line how much
/// left and why no more.
fn advice(control: u32, shipping_order: &str, shipment: &str, status: &str, shipped: u32) -> String {
    let given = segments(shipping_order);
    let all = |tag: &str| given.iter().filter(|segment| segment[0] == tag).cloned().collect::<Vec<_>>();
    let reference = all("N9").into_iter().find(|reference| reference[1] == "ZZ").unwrap();
    let line_number = all("N9").into_iter().find(|reference| reference[1] == "LI").unwrap();
    let [line] = &all("W01")[..] else { panic!("{shipping_order}") };
    let ordered: u32 = line[1].parse().unwrap();
    let (unit, item, missing) = (line[2], line[5], ordered - shipped);
    let said = [
        format!("W06*F*{}*20260303*{shipment}", all("W05")[0][2]),
        reference.join("*"),
        "LX*1".to_owned(),
        format!("W12*{status}*{ordered}*{shipped}*{missing}*{unit}**VN*{item}"),
        line_number.join("*"),
        format!("W03*{shipped}"),
    ];
    let count = said.len() + 2;
    let said: String = said.iter().map(|segment| format!("{segment}~\n")).collect();
    format!(
        "ISA*00*          *00*          *ZZ*WAREHOUSE      *ZZ*PORTREEVE      *260303*1600*U*00401*{control:09}*0*P*>~\n\
         GS*SW*WAREHOUSE*PORTREEVE*20260303*1600*{control}*X*004010~\nST*945*0001~\n{said}SE*{count}*0001~\n\
         GE*1*{control}~\nIEA*1*{control:09}~\n"
    )
}

/// An order that the ERP took, with the 940 that the warehouse got of it.
async fn sent(yard: &Yard, host: &TestHost) -> (OrderId, String) {
    let order = released(host, "PO-1").await;
    assert!(yard.files("orders").is_empty(), "the warehouse waits for the ERP's word");
    host.come_to_rest().await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Accepted));
    let mut files = yard.files("orders");
    assert_eq!(files.len(), 1, "{files:?}");
    let (name, shipping_order) = files.remove(0);
    assert_eq!(name, "940-000000001.edi");
    (order, shipping_order)
}

/// What became of what lies in the inbox: whether each was there before.
async fn taken(host: &TestHost) -> Vec<bool> {
    let folder = &host.host.folders()[0];
    let ends = folder.scan(&host.host.pipeline, &|| true).await.unwrap();
    let duplicate = |end: End| match end {
        End::OnRecord { duplicate, .. } => duplicate,
        other => panic!("{other:?}"),
    };
    let taken = ends.into_iter().map(|(_, end)| duplicate(end)).collect();
    host.decide_all().await;
    taken
}

/// How much of the order's line left, and how much of it never will.
async fn shipped(host: &TestHost, order: OrderId) -> (i64, i64) {
    let line = host.progress(order).await.lines.remove("1").unwrap();
    (line.shipped, line.cancelled())
}

#[tokio::test]
async fn an_order_goes_to_the_warehouse_as_a_file_and_what_left_comes_back_as_one() {
    let yard = Yard::new();
    let host = yard.host().await;
    let (order, shipping_order) = sent(&yard, &host).await;
    let given = segments(&shipping_order);
    for expected in ["W05*N*PO-1*PO-1", &format!("N9*ZZ*PORTREEVE-ORDER*{order}"), "W01*10*BX**VN*FST-1007", "W76*10"] {
        let expected: Vec<&str> = expected.split('*').collect();
        assert!(given.contains(&expected), "expected {expected:?} in {shipping_order}");
    }
    let envelope = given.iter().find(|segment| segment[0] == "ISA").unwrap();
    assert_eq!((envelope[6].trim(), envelope[8].trim(), envelope[13]), ("PORTREEVE", "WAREHOUSE", "000000001"));

    let advice = advice(7, &shipping_order, "SH-1", "CC", 10);
    std::fs::write(yard.path("advice").join("sh-1.edi"), &advice).unwrap();
    assert_eq!(taken(&host).await, [false]);
    assert_eq!((host.process_state(order).await, shipped(&host, order).await), (Some(ProcessState::Shipped), (10, 0)));
    let replies = yard.files("replies");
    assert!(replies.len() == 1 && replies[0].1.contains("AK5*A~"), "{replies:?}");

    // The same again, under another name: it left once.
    std::fs::write(yard.path("advice").join("again.edi"), &advice).unwrap();
    assert_eq!(taken(&host).await, [true]);
    assert_eq!(shipped(&host, order).await, (10, 0));
    host.come_to_rest().await;
    assert_eq!((yard.files("orders").len(), yard.files("failed").len()), (1, 0), "it is sent once");
    assert_eq!(host.codes().await, Vec::<String>::new());
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_a_warehouse_says_by_http_moves_the_order_as_far_as_it_is_true() {
    let yard = Yard::new();
    let host = yard.host().await;
    let (order, shipping_order) = sent(&yard, &host).await;
    let post = async |advice: &str| {
        let answer = host.send("warehouse", Credential::Bearer(TOKEN), advice.as_bytes()).await.unwrap();
        let reply = String::from_utf8(answer.reply.body).unwrap();
        assert!(answer.reply.status == 200 && reply.contains("AK5*A~"), "{} {reply}", answer.reply.status);
        host.decide_all().await;
    };
    // A status that its quantities contradict, and an order that is named as its customer does.
    post(&advice(1, &shipping_order, "SH-1", "CC", 7)).await;
    let reference = format!("N9*ZZ*PORTREEVE-ORDER*{order}~\n");
    let nameless = advice(2, &shipping_order, "SH-2", "CC", 10).replace(&reference, "").replace("SE*8*", "SE*7*");
    assert!(!nameless.contains("PORTREEVE-ORDER") && nameless.contains("SE*7*"), "{nameless}");
    post(&nameless).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Accepted), "nothing counts of either");
    let mut codes = host.codes().await;
    codes.sort();
    assert_eq!(codes, ["status-contradicts-quantity", "unknown-order"]);

    // Seven left, and the rest never will.
    post(&advice(3, &shipping_order, "SH-3", "CP", 7)).await;
    assert_eq!((host.process_state(order).await, shipped(&host, order).await), (Some(ProcessState::Shipped), (7, 3)));
    assert_eq!(host.codes().await.len(), 2, "{:?}", host.codes().await);
    host.verify().await.unwrap();
}
