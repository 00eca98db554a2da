//! The invented people's cultures: names in their own script, towns, streets and dialling codes.

/// One culture's names and places. Every text is ready for JSON: no quotes, no backslashes.
#[derive(Debug)]
pub(super) struct Culture {
    pub(super) locale: &'static str,
    pub(super) country: &'static str,
    pub(super) dial: &'static str,
    pub(super) zone: &'static str,
    /// Name as written, and the same in the letters of an email address.
    pub(super) firsts: [(&'static str, &'static str); 5],
    pub(super) lasts: [(&'static str, &'static str); 5],
    /// City, subdivision and postal code.
    pub(super) cities: [(&'static str, &'static str, &'static str); 2],
    pub(super) streets: [&'static str; 2],
}

#[rustfmt::skip]
pub(super) const CULTURES: [Culture; 14] = [
    Culture {
        locale: "en-IE", country: "IE", dial: "353", zone: "Europe/Dublin",
        firsts: [("Nadia", "nadia"), ("Siobhán", "siobhan"), ("Tomás", "tomas"), ("Aoife", "aoife"), ("Conor", "conor")],
        lasts: [("Okafor", "okafor"), ("O'Sullivan", "osullivan"), ("Quinn", "quinn"), ("Ní Bhriain", "nibhriain"), ("Walsh", "walsh")],
        cities: [("Dublin", "IE-D", "D02 XY45"), ("Cork", "IE-CO", "T12 AB34")],
        streets: ["Harbour Row", "Mill Lane"],
    },
    Culture {
        locale: "en-US", country: "US", dial: "1", zone: "America/New_York",
        firsts: [("Grace", "grace"), ("Jean-Luc", "jeanluc"), ("Mary Ann", "maryann"), ("DeShawn", "deshawn"), ("Ruth", "ruth")],
        lasts: [("Hopper", "hopper"), ("Smith-Jones", "smithjones"), ("van der Berg", "vanderberg"), ("Garcia", "garcia"), ("Null", "null")],
        cities: [("New York", "US-NY", "10014"), ("Portland", "US-OR", "97205")],
        streets: ["Hudson Street", "NW 23rd Avenue"],
    },
    Culture {
        locale: "de-DE", country: "DE", dial: "49", zone: "Europe/Berlin",
        firsts: [("Jürgen", "juergen"), ("Käthe", "kaethe"), ("Björn", "bjoern"), ("Anneliese", "anneliese"), ("Uwe", "uwe")],
        lasts: [("Müller", "mueller"), ("Weiß", "weiss"), ("von der Ölmühle", "oelmuehle"), ("Groß", "gross"), ("Schäfer", "schaefer")],
        cities: [("München", "DE-BY", "80331"), ("Köln", "DE-NW", "50667")],
        streets: ["Lange Straße", "Am Mühlbach"],
    },
    Culture {
        locale: "fr-CA", country: "CA", dial: "1", zone: "America/Toronto",
        firsts: [("Zoé", "zoe"), ("François", "francois"), ("Noël", "noel"), ("Chloé", "chloe"), ("Gaëlle", "gaelle")],
        lasts: [("Lefèvre", "lefevre"), ("D'Amours", "damours"), ("Côté", "cote"), ("Bérubé", "berube"), ("Gagné", "gagne")],
        cities: [("Montréal", "CA-QC", "H2X 1Y4"), ("Québec", "CA-QC", "G1R 2S5")],
        streets: ["Rue d'Été", "Chemin Sainte-Foy"],
    },
    Culture {
        locale: "pl-PL", country: "PL", dial: "48", zone: "Europe/Warsaw",
        firsts: [("Łukasz", "lukasz"), ("Małgorzata", "malgorzata"), ("Żaneta", "zaneta"), ("Wojciech", "wojciech"), ("Świętosława", "swietoslawa")],
        lasts: [("Wiśniewski", "wisniewski"), ("Dąbrowska", "dabrowska"), ("Źrebiec", "zrebiec"), ("Wójcik", "wojcik"), ("Kłos", "klos")],
        cities: [("Łódź", "PL-LD", "90-001"), ("Kraków", "PL-MA", "30-001")],
        streets: ["ul. Piękna", "Aleje Słowackiego"],
    },
    Culture {
        locale: "tr-TR", country: "TR", dial: "90", zone: "Europe/Istanbul",
        firsts: [("İbrahim", "ibrahim"), ("Ayşe", "ayse"), ("Gülşen", "gulsen"), ("Çağlar", "caglar"), ("Işıl", "isil")],
        lasts: [("Yıldız", "yildiz"), ("Öztürk", "ozturk"), ("Şahin", "sahin"), ("Çelik", "celik"), ("Ağaoğlu", "agaoglu")],
        cities: [("İstanbul", "TR-34", "34000"), ("İzmir", "TR-35", "35000")],
        streets: ["İstiklâl Caddesi", "Gül Sokağı"],
    },
    Culture {
        locale: "uk-UA", country: "UA", dial: "380", zone: "Europe/Kyiv",
        firsts: [("Олександр", "oleksandr"), ("Ївга", "yivha"), ("Ганна", "hanna"), ("Юрій", "yurii"), ("Соломія", "solomiia")],
        lasts: [("Шевченко", "shevchenko"), ("Мар'яненко", "marianenko"), ("Ґалаґан", "galagan"), ("Їжакевич", "yizhakevych"), ("Бойко", "boiko")],
        cities: [("Київ", "UA-30", "01001"), ("Львів", "UA-46", "79000")],
        streets: ["вулиця Хрещатик", "площа Ринок"],
    },
    Culture {
        locale: "el-GR", country: "GR", dial: "30", zone: "Europe/Athens",
        firsts: [("Ελένη", "eleni"), ("Γιώργος", "giorgos"), ("Άγγελος", "angelos"), ("Δήμητρα", "dimitra"), ("Ιωάννα", "ioanna")],
        lasts: [("Παπαδόπουλος", "papadopoulos"), ("Νικολάου", "nikolaou"), ("Οικονόμου", "oikonomou"), ("Αθανασίου", "athanasiou"), ("Γεωργίου", "georgiou")],
        cities: [("Αθήνα", "GR-I", "105 57"), ("Θεσσαλονίκη", "GR-B", "546 24")],
        streets: ["Ερμού", "Λεωφόρος Νίκης"],
    },
    Culture {
        locale: "ar-EG", country: "EG", dial: "20", zone: "Africa/Cairo",
        firsts: [("محمد", "mohamed"), ("فاطمة", "fatma"), ("يوسف", "youssef"), ("مريم", "mariam"), ("عبد الرحمن", "abdelrahman")],
        lasts: [("الحسيني", "elhusseiny"), ("عبد الله", "abdallah"), ("مصطفى", "mostafa"), ("السيد", "elsayed"), ("نجيب", "naguib")],
        cities: [("القاهرة", "EG-C", "11511"), ("الإسكندرية", "EG-ALX", "21500")],
        streets: ["شارع التحرير", "طريق الكورنيش"],
    },
    Culture {
        locale: "he-IL", country: "IL", dial: "972", zone: "Asia/Jerusalem",
        firsts: [("נועה", "noa"), ("יוסי", "yossi"), ("תמר", "tamar"), ("אברהם", "avraham"), ("שירה", "shira")],
        lasts: [("כהן", "cohen"), ("בן־דוד", "bendavid"), ("לוי", "levi"), ("מזרחי", "mizrahi"), ("פרידמן", "friedman")],
        cities: [("תל אביב-יפו", "IL-TA", "6100000"), ("חיפה", "IL-HA", "3100000")],
        streets: ["רחוב דיזנגוף", "שדרות רוטשילד"],
    },
    Culture {
        locale: "zh-TW", country: "TW", dial: "886", zone: "Asia/Taipei",
        firsts: [("伟", "wei"), ("美玲", "meiling"), ("志明", "zhiming"), ("秀英", "xiuying"), ("𠮷", "ji")],
        lasts: [("李", "li"), ("陳", "chen"), ("歐陽", "ouyang"), ("王", "wang"), ("林", "lin")],
        cities: [("臺北市", "TW-TPE", "100"), ("高雄市", "TW-KHH", "800")],
        streets: ["忠孝東路", "中山路"],
    },
    Culture {
        locale: "ja-JP", country: "JP", dial: "81", zone: "Asia/Tokyo",
        firsts: [("さくら", "sakura"), ("健太", "kenta"), ("ユウコ", "yuko"), ("大輔", "daisuke"), ("陽葵", "himari")],
        lasts: [("髙橋", "takahashi"), ("渡邉", "watanabe"), ("佐藤", "sato"), ("山﨑", "yamazaki"), ("鈴木", "suzuki")],
        cities: [("渋谷区", "JP-13", "150-0002"), ("大阪市", "JP-27", "530-0001")],
        streets: ["道玄坂一丁目", "御堂筋"],
    },
    Culture {
        locale: "ko-KR", country: "KR", dial: "82", zone: "Asia/Seoul",
        firsts: [("지민", "jimin"), ("서연", "seoyeon"), ("현우", "hyunwoo"), ("은지", "eunji"), ("도윤", "doyun")],
        lasts: [("김", "kim"), ("박", "park"), ("최", "choi"), ("남궁", "namgung"), ("이", "lee")],
        cities: [("서울특별시", "KR-11", "04524"), ("부산광역시", "KR-26", "48058")],
        streets: ["세종대로", "해운대로"],
    },
    Culture {
        locale: "hi-IN", country: "IN", dial: "91", zone: "Asia/Kolkata",
        firsts: [("प्रिया", "priya"), ("अर्जुन", "arjun"), ("सुनीता", "sunita"), ("สมชาย", "somchai"), ("ज्योति", "jyoti")],
        lasts: [("शर्मा", "sharma"), ("श्रीवास्तव", "shrivastava"), ("पटेल", "patel"), ("ศรีสุข", "srisuk"), ("क्षत्रिय", "kshatriya")],
        cities: [("मुंबई", "IN-MH", "400001"), ("กรุงเทพมหานคร", "TH-10", "10200")],
        streets: ["महात्मा गांधी मार्ग", "ถนนสุขุมวิท"],
    },
];
